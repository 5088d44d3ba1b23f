// SPDX-License-Identifier: Apache-2.0
#include "agent/base/file.hpp"

#include <fcntl.h>

namespace sonde {

namespace {

// Reads from offset 0 to the end into `buffer`, growing it; returns the length.
Result<std::size_t> read_all(int fd,
                             const std::filesystem::path& path,
                             std::string& buffer,
                             std::size_t limit,
                             ReusedFile::End end)
{
  if (buffer.size() < 4096)
    buffer.resize(4096);
  std::size_t length = 0;
  for (;;) {
    const ssize_t n =
        ::pread(fd, buffer.data() + length, buffer.size() - length, static_cast<off_t>(length));
    if (n < 0) {
      if (errno == EINTR)
        continue;
      return fail(errno, "read " + path.string());
    }
    if (n == 0)
      return length;
    length += static_cast<std::size_t>(n);
    if (length > limit)
      return fail(EFBIG, "read " + path.string());
    if (length == buffer.size())
      buffer.resize(buffer.size() * 2);
    else if (end == ReusedFile::End::kAtShortRead)
      return length;
  }
}

Result<UniqueFd> open_to_read(const std::filesystem::path& path)
{
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd)
    return fail(errno, "open " + path.string());
  return fd;
}

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit)
{
  const UniqueFd fd = SONDE_TRY(open_to_read(path));
  std::string text;
  text.resize(SONDE_TRY(read_all(fd.get(), path, text, limit, ReusedFile::End::kAtNothing)));
  return text;
}

Result<std::string_view> ReusedFile::read()
{
  if (!fd_)
    fd_ = SONDE_TRY(open_to_read(path_));
  auto length = read_all(fd_.get(), path_, buffer_, kMaxFileBytes, end_);
  if (!length) {
    fd_ = UniqueFd();
    return Failure(std::move(length).error());
  }
  return std::string_view(buffer_.data(), *length);
}

}  // namespace sonde
