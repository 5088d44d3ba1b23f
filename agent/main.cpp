// SPDX-License-Identifier: Apache-2.0
// The entry point: hands the command line to the application.
#include "agent/app/app.hpp"

int main(int argc, char** argv)
{
  return sonde::app::main(argc, argv);
}
