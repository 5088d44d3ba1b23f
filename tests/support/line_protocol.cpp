// SPDX-License-Identifier: Apache-2.0
#include "tests/support/line_protocol.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <string>

#include "agent/base/text.hpp"

namespace sonde::test {

namespace {

using namespace protocols;
using metrics::Type;

constexpr metrics::Desc kRequests{
    "line_requests_total", Type::kCounter, "Lines.", "service target status"};
constexpr metrics::Desc kClientRequests{
    "line_client_requests_total", Type::kCounter, "Lines.", "service peer target"};
constexpr metrics::Desc kDuration{
    "line_duration_seconds", Type::kHistogram, "Lines.", "service target"};
constexpr metrics::Desc kInFlight{"line_in_flight", Type::kGauge, "Lines.", "service"};
constexpr metrics::Desc kAll[] = {kRequests, kClientRequests, kDuration, kInFlight};

constexpr std::size_t kMaxLine = 256;
constexpr std::size_t kMaxOpen = 64;

struct Request {
  std::array<char, 16> text{};
  std::size_t size = 0;
  std::uint64_t time_ns = 0;

  std::string_view name() const { return {text.data(), size}; }
};

class Lines final : public Decoder {
public:
  std::size_t data(Direction direction, const Piece& piece, Sink& sink) override
  {
    auto& way = ways_.at(static_cast<std::size_t>(direction));
    if (way.lost && !piece.starts_call)
      return piece.bytes.size();
    way.lost = false;
    for (std::size_t i = 0; i < piece.bytes.size(); ++i) {
      if (way.skip > 0) {
        const auto skipped = std::min<std::uint64_t>(way.skip, piece.bytes.size() - i);
        way.skip -= skipped;
        i += skipped - 1;
        continue;
      }
      if (piece.bytes[i] != '\n') {
        if (way.line.size() < kMaxLine)
          way.line += piece.bytes[i];
        continue;
      }
      take(direction, way, piece.time_ns, sink);
      way.line.clear();
      if (!successor_.empty())
        return i + 1;
    }
    return piece.bytes.size();
  }

  void hole(Direction direction, std::uint64_t bytes, std::uint64_t, Sink&) override
  {
    auto& way = ways_.at(static_cast<std::size_t>(direction));
    const auto skipped = std::min(way.skip, bytes);
    way.skip -= skipped;
    if (skipped == bytes)
      return;
    way.line.clear();
    way.lost = true;
    open_.clear();
  }

  void end_of_stream(Direction, std::uint64_t, Sink&) override {}
  void closed(Exchange::End how, std::uint64_t time_ns, Sink& sink) override
  {
    for (const auto& request : open_)
      emit(request, "aborted", how, time_ns, sink);
    open_.clear();
  }
  bool expects_response() const override { return !open_.empty(); }
  Appetite appetite(Direction direction) const override
  {
    return {.mode = direction == Direction::kToServer ? Appetite::Mode::kFull
                                                      : Appetite::Mode::kHeadAndTail,
            .limit = 256,
            .tail = 64,
            .skip = ways_.at(static_cast<std::size_t>(direction)).skip};
  }
  Activity activity() const override
  {
    return {.in_flight = static_cast<std::uint32_t>(open_.size())};
  }
  std::string_view successor() const override { return successor_; }

private:
  struct Way {
    std::string line;
    std::uint64_t skip = 0;
    bool lost = false;
  };

  void take(Direction direction, Way& way, std::uint64_t time_ns, Sink& sink)
  {
    const std::string_view line = way.line;
    const auto word = line.substr(0, 2);
    const auto rest = line.substr(std::min<std::size_t>(line.size(), 2));
    if (word == "B ") {
      way.skip = parse_number<std::uint64_t>(rest).value_or(0);
    } else if (direction == Direction::kToServer && word == "Q " && rest.size() <= 16 &&
               open_.size() < kMaxOpen) {
      auto& request = open_.emplace_back();
      request.size = rest.copy(request.text.data(), request.text.size());
      request.time_ns = time_ns;
    } else if (direction == Direction::kToClient && word == "S ") {
      successor_ = rest;
    } else if (direction == Direction::kToClient && (word == "A " || word == "E ")) {
      while (!open_.empty() && open_.front().name() != rest)
        open_.pop_front();
      if (open_.empty())
        return;
      emit(open_.front(), word == "A " ? "ok" : "error", Exchange::End::kComplete, time_ns, sink);
      open_.pop_front();
    } else if (line != "HELLO") {
      sink.malformed("line");
    }
  }

  static void emit(const Request& request,
                   std::string_view status,
                   Exchange::End end,
                   std::uint64_t time_ns,
                   Sink& sink)
  {
    sink.exchange({.operation = "Q",
                   .target = request.name(),
                   .status = status,
                   .end = end,
                   .request_first_ns = request.time_ns,
                   .response_last_ns = time_ns});
  }

  std::array<Way, 2> ways_;
  std::deque<Request> open_;
  std::string successor_;
};

Match starts_with(std::string_view text, std::string_view what)
{
  if (text.starts_with(what))
    return Match::kYes;
  return what.starts_with(text) ? Match::kNeedMore : Match::kNo;
}

void record(const Exchange& exchange, Recorder& recorder)
{
  const auto target = recorder.route({}, exchange.target);
  if (recorder.role() == Role::kClient) {
    recorder.count(kClientRequests, {recorder.peer(), target});
    return;
  }
  recorder.count(kRequests, {target, exchange.status});
  recorder.observe(kDuration, {target}, exchange.response_last_ns - exchange.request_first_ns);
}

void level(const Activity& activity, std::int64_t by, Recorder& recorder)
{
  recorder.adjust(kInFlight, {}, by * static_cast<std::int64_t>(activity.in_flight));
}

}  // namespace

extern const Protocol line_protocol{
    .name = "lines",
    .recognise =
        [](const Heads& heads) {
          const auto match = starts_with(heads.to_server, "Q ");
          return match == Match::kNo ? starts_with(heads.to_server, "B ") : match;
        },
    .decoder = [](bool) -> std::unique_ptr<Decoder> { return std::make_unique<Lines>(); },
    .record = record,
    .level = level,
    .metrics = kAll};

extern const Protocol hello_protocol{
    .name = "hello",
    .recognise =
        [](const Heads& heads) {
          if (heads.to_client.empty() && !heads.to_server.empty())
            return Match::kNo;  // the server would have spoken first
          return starts_with(heads.to_client, "HELLO\n");
        },
    .decoder = [](bool) -> std::unique_ptr<Decoder> { return std::make_unique<Lines>(); },
    .record = record,
    .level = level,
    .metrics = kAll};

std::span<const Protocol* const> line_protocols()
{
  static constexpr const Protocol* kProtocols[] = {&line_protocol, &hello_protocol};
  return kProtocols;
}

}  // namespace sonde::test
