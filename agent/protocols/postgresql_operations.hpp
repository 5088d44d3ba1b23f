// SPDX-License-Identifier: Apache-2.0
// What a client asked for and the server has not answered, in order.
#pragma once

#include <cstdint>
#include <deque>
#include <ranges>
#include <vector>

#include "agent/protocols/postgresql_statements.hpp"

namespace sonde::postgresql {

struct Operation {
  enum class Kind : std::uint8_t {
    kStartup,
    kQuery,
    kParse,
    kBind,
    kDescribe,
    kExecute,
    kClose,
    kSync,
    kFunction,
  };

  Kind kind;
  Subject subject;                 // of a Query: its first statement
  std::vector<StatementRef> rest;  // of a Query
  bool cut = false;                // a Query whose text was not all captured
  bool failed = false;
  bool closes_portal = false;
  bool after_copy = false;  // a Sync that the server reads after the end of a COPY
  std::size_t done = 0;     // statements of a Query
  Key portal = kUnnamed;
  std::uint64_t first_ns = 0;
  std::uint64_t last_ns = 0;
  std::uint64_t bytes = 0;

  // Answered by a ReadyForQuery of its own.
  bool ends_batch() const
  {
    return kind == Kind::kStartup || kind == Kind::kQuery || kind == Kind::kSync ||
           kind == Kind::kFunction;
  }

  // Statements that are still to complete.
  std::size_t statements_left() const
  {
    if (kind == Kind::kExecute)
      return 1;
    if (kind != Kind::kQuery || failed)
      return 0;
    const auto all = rest.size() + (subject.statement || cut ? 1 : 0);
    return all > done ? all - done : 0;
  }

  // The statement of a Query that completes next.
  Subject current() const
  {
    if (kind != Kind::kQuery || done == 0)
      return subject;
    if (done <= rest.size())
      return {.statement = rest[done - 1], .text = Subject::Text::kSeen};
    return {.text = cut ? Subject::Text::kLost : Subject::Text::kOlder};
  }
};

class Operations {
public:
  static constexpr std::size_t kMost = 64 << 10;

  bool empty() const { return queue_.empty(); }
  std::size_t batches() const { return batches_; }
  Operation& front() { return queue_.front(); }
  bool next_is(Operation::Kind kind) const
  {
    return !queue_.empty() && queue_.front().kind == kind;
  }

  // False when there are too many.
  bool push(Operation operation)
  {
    if (queue_.size() == kMost)
      return false;
    batches_ += operation.ends_batch() ? 1 : 0;
    queue_.push_back(std::move(operation));
    return true;
  }

  void pop()
  {
    batches_ -= queue_.front().ends_batch() ? 1 : 0;
    queue_.pop_front();
  }

  void clear()
  {
    queue_.clear();
    batches_ = 0;
  }

  // Statements of the oldest batch, counted up to two.
  std::size_t statements_of_batch() const
  {
    std::size_t statements = 0;
    for (const auto& operation : queue_) {
      statements += operation.statements_left();
      if (operation.ends_batch() || statements > 1)
        break;
    }
    return statements;
  }

  // The one that data of a COPY belongs to.
  Operation* newest_statement()
  {
    for (auto& operation : std::views::reverse(queue_))
      if (operation.kind != Operation::Kind::kSync)
        return &operation;
    return nullptr;
  }

  // While it reads the data of a COPY the server answers no Sync. True if one behind the data is
  // here already.
  bool drop_syncs_before_copy_end()
  {
    bool ended = false;
    std::erase_if(queue_, [&](const Operation& operation) {
      if (operation.kind != Operation::Kind::kSync)
        return false;
      ended = ended || operation.after_copy;
      return !operation.after_copy;
    });
    batches_ = 0;
    for (const auto& operation : queue_)
      batches_ += operation.ends_batch() ? 1 : 0;
    return ended;
  }

private:
  std::deque<Operation> queue_;
  std::size_t batches_ = 0;
};

}  // namespace sonde::postgresql
