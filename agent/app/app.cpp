// SPDX-License-Identifier: Apache-2.0
#include "agent/app/app.hpp"

#include "agent/app/commands.hpp"
#include "agent/app/run.hpp"

namespace sonde::app {

int main(int argc, char** argv)
{
  return dispatch(argc, argv, Agent{.run = run, .try_hooks = try_hooks});
}

}  // namespace sonde::app
