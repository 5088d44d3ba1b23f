// SPDX-License-Identifier: Apache-2.0
#include "agent/app/app.hpp"

namespace sonde::app {

int main(int, char**)
{
  return 2;
}

}  // namespace sonde::app
