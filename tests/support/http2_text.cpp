// SPDX-License-Identifier: Apache-2.0
#include "tests/support/http2_text.hpp"

#include <algorithm>
#include <nghttp2/nghttp2.h>

namespace sonde::test::h2 {

namespace {

std::uint8_t* bytes_of(const std::string& text)
{
  // libnghttp2 does not write to it.
  return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
}

Fields joined(Fields fields, const Fields& more)
{
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

}  // namespace

std::string big_endian(std::uint32_t value, std::size_t bytes)
{
  std::string text;
  while (bytes-- > 0)
    text += static_cast<char>(value >> (8 * bytes) & 0xff);
  return text;
}

std::string frame(std::uint8_t type, unsigned flags, std::uint32_t stream, std::string_view payload)
{
  return big_endian(static_cast<std::uint32_t>(payload.size()), 3) + static_cast<char>(type) +
         static_cast<char>(flags) + big_endian(stream) + std::string(payload);
}

std::string data(std::uint32_t stream, std::string_view content, unsigned flags)
{
  return frame(0, flags, stream, content);
}

std::string
padded_data(std::uint32_t stream, std::string_view content, std::uint8_t padding, unsigned flags)
{
  return data(stream,
              static_cast<char>(padding) + std::string(content) + std::string(padding, '\0'),
              flags | kPadded);
}

std::string priority(std::uint32_t stream)
{
  return frame(2, 0, stream, big_endian(0) + '\x0f');
}

std::string rst_stream(std::uint32_t stream, std::uint32_t error)
{
  return frame(3, 0, stream, big_endian(error));
}

std::string settings()
{
  constexpr std::uint32_t kMaxConcurrentStreams = 3;
  constexpr std::uint32_t kInitialWindowSize = 4;
  return frame(4,
               0,
               0,
               big_endian(kMaxConcurrentStreams, 2) + big_endian(250) +
                   big_endian(kInitialWindowSize, 2) + big_endian(1U << 20U));
}

std::string settings_ack()
{
  return frame(4, 1, 0, "");
}

std::string ping()
{
  return frame(6, 0, 0, "12345678");
}

std::string goaway(std::uint32_t last, std::uint32_t error)
{
  return frame(7, 0, 0, big_endian(last) + big_endian(error) + "debug data");
}

std::string window_update(std::uint32_t stream)
{
  return frame(8, 0, stream, big_endian(65'535));
}

Fields request(std::string_view method, std::string_view path, const Fields& more)
{
  return joined({{":method", std::string(method)},
                 {":scheme", "https"},
                 {":authority", "shop.example.org"},
                 {":path", std::string(path)},
                 {"user-agent", "sonde/1"}},
                more);
}

Fields response(std::string_view status, const Fields& more)
{
  return joined({{":status", std::string(status)}, {"server", "sonde"}}, more);
}

Fields call(std::string_view path, const Fields& more)
{
  return joined({{":method", "POST"},
                 {":scheme", "http"},
                 {":path", std::string(path)},
                 {":authority", "127.0.0.1:50051"},
                 {"content-type", "application/grpc"},
                 {"user-agent", "grpc-go/1.70.0"},
                 {"te", "trailers"}},
                more);
}

Fields call_response()
{
  return {{":status", "200"}, {"content-type", "application/grpc"}};
}

Fields call_trailers(std::string_view code)
{
  return {{"grpc-status", std::string(code)}, {"grpc-message", ""}};
}

std::string message(std::string_view body, bool compressed)
{
  return (compressed ? '\x01' : '\0') + big_endian(static_cast<std::uint32_t>(body.size())) +
         std::string(body);
}

std::string client_start()
{
  return std::string(kPreface) + settings() + window_update(0);
}

std::string server_start()
{
  return settings() + settings_ack();
}

void Writer::Delete::operator()(nghttp2_hd_deflater* deflater) const
{
  nghttp2_hd_deflate_del(deflater);
}

Writer::Writer(std::size_t table)
{
  nghttp2_hd_deflater* deflater = nullptr;
  nghttp2_hd_deflate_new(&deflater, table);
  deflater_.reset(deflater);
  if (table > 4096)
    resize(table);
}

void Writer::resize(std::size_t table)
{
  nghttp2_hd_deflate_change_table_size(deflater_.get(), table);
}

std::string Writer::block(const Fields& fields)
{
  std::vector<nghttp2_nv> all;
  all.reserve(fields.size());
  for (const auto& [name, value] : fields)
    all.push_back({bytes_of(name), bytes_of(value), name.size(), value.size(), 0});
  std::string out(nghttp2_hd_deflate_bound(deflater_.get(), all.data(), all.size()), '\0');
  const auto size =
      nghttp2_hd_deflate_hd(deflater_.get(), bytes_of(out), out.size(), all.data(), all.size());
  out.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  return out;
}

std::string Writer::headers(std::uint32_t stream, const Fields& fields, unsigned flags)
{
  return frame(1, flags | kEndHeaders, stream, block(fields));
}

std::string Writer::headers_in_parts(std::uint32_t stream,
                                     const Fields& fields,
                                     std::size_t parts,
                                     unsigned flags)
{
  const auto whole = block(fields);
  const std::string_view rest = whole;
  std::string out;
  for (std::size_t i = 0; i < parts; ++i) {
    const auto from = whole.size() * i / parts;
    const auto part = rest.substr(from, whole.size() * (i + 1) / parts - from);
    const bool last = i + 1 == parts;
    out += frame(i == 0 ? 1 : 9, (i == 0 ? flags : 0) | (last ? kEndHeaders : 0), stream, part);
  }
  return out;
}

std::string Writer::push_promise(std::uint32_t stream, std::uint32_t promised, const Fields& fields)
{
  return frame(5, kEndHeaders, stream, big_endian(promised) + block(fields));
}

}  // namespace sonde::test::h2
