// SPDX-License-Identifier: Apache-2.0
// node_uname_info: what uname(2) says.
#include <sys/utsname.h>

#include "agent/base/file.hpp"
#include "agent/base/text.hpp"
#include "agent/collectors/collector.hpp"

namespace sonde::collectors_uname {

namespace {

constexpr metrics::Desc kMetrics[] = {
    {"node_uname_info",
     metrics::Type::kGauge,
     "Labeled system information as provided by the uname system call.",
     "sysname release version machine nodename domainname"},
};

// The name of the node when PID 1 has another UTS namespace than Sonde: in a pod uname(2) gives
// the pod's name, and no procfs tells another namespace's.
std::string node_name(const Paths& paths)
{
  std::error_code error;
  const auto own = std::filesystem::read_symlink("/proc/self/ns/uts", error);
  if (error)
    return {};
  const auto of_init = std::filesystem::read_symlink(paths.proc("1/ns/uts"), error);
  if (error || own == of_init)
    return {};
  const auto text = read_file(paths.rootfs / "etc/hostname", 4096);
  return text ? std::string(trim(*text)) : std::string();
}

class Uname : public Collector {
public:
  explicit Uname(const Paths& paths) : node_name_(node_name(paths)) {}

  Result<> collect(Families& out) override
  {
    utsname name{};
    if (::uname(&name) != 0)
      return fail(errno, "uname");
    out.add(kMetrics[0])
        .sample({{"sysname", name.sysname},
                 {"release", name.release},
                 {"version", name.version},
                 {"machine", name.machine},
                 {"nodename", node_name_.empty() ? std::string_view(name.nodename) : node_name_},
                 {"domainname", name.domainname}},
                1);
    return {};
  }

private:
  std::string node_name_;
};

}  // namespace

extern const CollectorInfo info{
    .name = "uname",
    .enabled = true,
    .create = [](const Paths& paths, const Settings&, Sources&)
        -> Result<std::unique_ptr<Collector>> { return std::make_unique<Uname>(paths); },
    .metrics = kMetrics,
};

}  // namespace sonde::collectors_uname
