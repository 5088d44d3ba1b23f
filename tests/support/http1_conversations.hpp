// SPDX-License-Identifier: Apache-2.0
// HTTP/1.x conversations as real clients and servers have them, with what must come out.
#pragma once

#include <string>
#include <vector>

#include "tests/support/conversation.hpp"

namespace sonde::http1 {

extern const protocols::Protocol protocol;

}  // namespace sonde::http1

namespace sonde::test {

struct Http1Case {
  std::string name;
  Conversation conversation;
  Outcome expected;
};

// Those in which nothing is malformed: any split of them gives the same.
const std::vector<Http1Case>& http1_cases();

// One made up by chance: batches of requests, alternating or pipelined, with every kind of body.
Http1Case random_http1_case(std::mt19937& random);

// "200 5/12" of a line without the sizes, which a hole may leave unknown.
std::string without_sizes(const std::string& line);
std::vector<std::string> without_sizes(std::vector<std::string> lines);

std::string chunk(const std::string& data);

}  // namespace sonde::test
