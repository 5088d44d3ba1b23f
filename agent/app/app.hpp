// SPDX-License-Identifier: Apache-2.0
// The command line: sonde [run|check|metrics|config check|version] [flags].
#pragma once

namespace sonde::app {

// Runs one command; the exit code of the process. Never throws.
int main(int argc, char** argv);

}  // namespace sonde::app
