// SPDX-License-Identifier: Apache-2.0
// Owns one bpftool-generated skeleton: programs, maps and links go away with it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <bpf/libbpf.h>

#include "agent/base/result.hpp"

namespace sonde::bpf {

// What libbpf or the verifier last complained about on this thread, in one line; cleared by asking.
std::string last_complaint();

// Routes libbpf's messages to last_complaint() and, at debug level, to the log. Once, at start.
void capture_messages();

// What the kernel charges for a map ("memlock:" in its fdinfo); 0 when it does not say.
std::uint64_t charged_bytes(int map_fd);

// `T` is the generated struct; bpftool gives it the static open/load/destroy used here.
template <typename T>
class Skeleton {
public:
  static Result<Skeleton> open()
  {
    Skeleton skeleton(T::open());
    if (!skeleton.object_)
      return fail(errno, "open BPF object");
    return skeleton;
  }

  Result<> load()
  {
    const int err = T::load(object_.get());
    if (err == 0)
      return {};
    const auto why = last_complaint();
    return fail(err, "load BPF object" + (why.empty() ? why : " (" + why + ")"));
  }

  T* operator->() { return object_.get(); }
  const T* operator->() const { return object_.get(); }

private:
  struct Destroy {
    void operator()(T* object) const { T::destroy(object); }
  };

  explicit Skeleton(T* object) : object_(object) {}

  std::unique_ptr<T, Destroy> object_;
};

// Attaches one loaded program; the link is detached by its destruction.
class Link {
public:
  Link() = default;
  static Result<Link> attach(const bpf_program* program);
  static Result<Link> attach_iterator(const bpf_program* program, int map_fd);

  explicit operator bool() const { return link_ != nullptr; }
  int fd() const { return bpf_link__fd(link_.get()); }

private:
  struct Destroy {
    void operator()(bpf_link* link) const { bpf_link__destroy(link); }
  };

  std::unique_ptr<bpf_link, Destroy> link_;
};

// Runs an attached iterator to its end; what it writes is passed by.
Result<> run_iterator(const Link& iterator);

}  // namespace sonde::bpf
