// SPDX-License-Identifier: Apache-2.0
#include "agent/bpf/shared_maps.hpp"

#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>

#include <bpf/bpf.h>

namespace sonde::bpf {

Result<Mapping> Mapping::create(int map_fd, std::size_t bytes, bool writable)
{
  void* memory =
      ::mmap(nullptr, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, map_fd, 0);
  if (memory == MAP_FAILED)
    return fail(errno, "mmap BPF array");
  Mapping mapping;
  mapping.memory_ = memory;
  mapping.bytes_ = bytes;
  return mapping;
}

Mapping::~Mapping()
{
  if (memory_ != nullptr)
    ::munmap(memory_, bytes_);
}

namespace {

Result<UniqueFd> create_map(bpf_map_type type, const char* name, __u32 value, __u32 entries)
{
  LIBBPF_OPTS(bpf_map_create_opts, options);
  if (type == BPF_MAP_TYPE_ARRAY)
    options.map_flags = BPF_F_MMAPABLE;
  const __u32 key = type == BPF_MAP_TYPE_ARRAY ? 4 : 0;
  UniqueFd fd(bpf_map_create(type, name, key, value, entries, &options));
  if (!fd)
    return fail(errno, std::string("create BPF map ") + name);
  return fd;
}

std::uint32_t blocks_of(std::uint32_t pid_max)
{
  return pid_max / 32 + 1;
}

}  // namespace

Result<std::unique_ptr<SharedMaps>> SharedMaps::create(std::uint32_t pid_max,
                                                       std::uint32_t ring_bytes)
{
  std::unique_ptr<SharedMaps> maps(new SharedMaps);
  const int cpus = libbpf_num_possible_cpus();
  if (cpus < 1)
    return fail(cpus, "count possible CPUs");
  maps->cpus_ = static_cast<unsigned>(cpus);
  maps->pid_max_ = pid_max;
  maps->ring_bytes_ = ring_bytes;
  const auto blocks = blocks_of(pid_max);
  maps->service_of_ =
      SONDE_TRY(create_map(BPF_MAP_TYPE_ARRAY, "service_of", sizeof(sonde_slot_block), blocks));
  maps->generations_ = SONDE_TRY(
      create_map(BPF_MAP_TYPE_ARRAY, "slot_generations", sizeof(sonde_slot_generations), 1));
  maps->facts_ = SONDE_TRY(create_map(BPF_MAP_TYPE_RINGBUF, "facts", 0, ring_bytes));
  maps->facts_lost_ = SONDE_TRY(
      create_map(BPF_MAP_TYPE_ARRAY, "facts_lost", sizeof(sonde_facts_lost), maps->cpus_));
  maps->facts_reader_ =
      SONDE_TRY(create_map(BPF_MAP_TYPE_ARRAY, "facts_reader", sizeof(sonde_facts_reader), 1));
  maps->reader_memory_ =
      SONDE_TRY(Mapping::create(maps->facts_reader_.get(), sizeof(sonde_facts_reader), true));
  maps->service_memory_ = SONDE_TRY(Mapping::create(
      maps->service_of_.get(), sizeof(sonde_slot_block) * std::size_t{blocks}, true));
  maps->generation_memory_ =
      SONDE_TRY(Mapping::create(maps->generations_.get(), sizeof(sonde_slot_generations), true));
  maps->lost_ = SONDE_TRY(Rows<sonde_facts_lost>::create(maps->facts_lost_.get(), maps->cpus_, 1));
  return maps;
}

Result<> SharedMaps::share_with(bpf_object* object)
{
  const std::pair<const char*, int> shared[] = {{"service_of", service_of_.get()},
                                                {"slot_generations", generations_.get()},
                                                {"facts", facts_.get()},
                                                {"facts_lost", facts_lost_.get()},
                                                {"facts_reader", facts_reader_.get()}};
  for (const auto& [name, fd] : shared)
    if (auto* map = bpf_object__find_map_by_name(object, name); map != nullptr)
      if (const int err = bpf_map__reuse_fd(map, fd); err != 0)
        return fail(err, std::string("share BPF map ") + name);

  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object)
  {
    const std::string_view name = bpf_map__name(map);
    if (const auto lent = lent_.find(name); lent != lent_.end()) {
      if (const int err = bpf_map__reuse_fd(map, lent->second.get()); err != 0)
        return fail(err, "share BPF map " + std::string(name));
    } else if (name.ends_with("_rows")) {
      if (const int err = bpf_map__set_max_entries(map, bpf_map__max_entries(map) * cpus_);
          err != 0)
        return fail(err, "size BPF map " + std::string(name));
    }
  }
  return {};
}

Result<> SharedMaps::lend(const bpf_object* object, std::span<const char* const> names)
{
  for (const char* name : names) {
    const int fd = bpf_object__find_map_fd_by_name(object, name);
    UniqueFd copy(fd < 0 ? -1 : ::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!copy)
      return fail(errno, std::string("lend BPF map ") + name);
    lent_[name] = std::move(copy);
  }
  return {};
}

void SharedMaps::take_back(std::span<const char* const> names)
{
  for (const char* name : names)
    lent_.erase(name);
}

bool SharedMaps::lends(std::string_view name) const
{
  return lent_.contains(name);
}

std::uint16_t SharedMaps::slot(std::uint32_t tgid) const
{
  if (tgid > pid_max_)
    return SONDE_SLOT_OTHER;
  const auto* blocks = static_cast<const volatile sonde_slot_block*>(service_memory_.data());
  return blocks[tgid >> 5].slot[tgid & 31];
}

void SharedMaps::set_slot(std::uint32_t tgid, std::uint16_t slot)
{
  if (tgid > pid_max_)
    return;
  auto* blocks = static_cast<volatile sonde_slot_block*>(service_memory_.data());
  blocks[tgid >> 5].slot[tgid & 31] = slot;
}

void SharedMaps::set_generation(std::uint16_t slot, std::uint16_t generation)
{
  static_cast<volatile sonde_slot_generations*>(generation_memory_.data())->generation[slot] =
      generation;
}

void SharedMaps::set_reader_awake(bool awake)
{
  static_cast<volatile sonde_facts_reader*>(reader_memory_.data())->awake = awake ? 1 : 0;
}

std::uint64_t SharedMaps::facts_lost(std::uint16_t family) const
{
  return sum_rows(lost_, 0).lost[family];
}

std::size_t SharedMaps::bytes() const
{
  return service_memory_.bytes() + generation_memory_.bytes() + ring_bytes_ +
         sizeof(sonde_facts_lost) * std::size_t{cpus_};
}

}  // namespace sonde::bpf
