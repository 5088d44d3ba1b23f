// SPDX-License-Identifier: Apache-2.0
// Messages of PostgreSQL as bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sonde::postgresql {

inline std::string be32(std::size_t value)
{
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8)
    bytes += static_cast<char>(value >> shift & 0xff);
  return bytes;
}

inline std::string message(char type, std::string_view body = {})
{
  return type + be32(body.size() + 4) + std::string(body);
}

inline std::string text(std::string_view content)
{
  return std::string(content) + '\0';
}

inline std::string startup()
{
  const auto body =
      be32(0x30000) + text("user") + text("app") + text("database") + text("shop") + text("");
  return be32(body.size() + 4) + body;
}
inline std::string ssl_request()
{
  return be32(8) + be32(80877103);
}
inline std::string cancel_request()
{
  return be32(16) + be32(80877102) + be32(4711) + be32(12345);
}

inline std::string query(std::string_view sql)
{
  return message('Q', text(sql));
}
inline std::string parse(std::string_view name, std::string_view sql)
{
  return message('P', text(name) + text(sql) + std::string(2, '\0'));
}
inline std::string
bind_to(std::string_view portal, std::string_view statement, std::string_view value = "1")
{
  return message('B',
                 text(portal) + text(statement) + std::string("\0\0\0\1", 4) + be32(value.size()) +
                     std::string(value) + std::string(2, '\0'));
}
inline std::string describe(char kind, std::string_view name)
{
  return message('D', kind + text(name));
}
inline std::string close(char kind, std::string_view name)
{
  return message('C', kind + text(name));
}
inline std::string execute(std::string_view portal, std::size_t rows = 0)
{
  return message('E', text(portal) + be32(rows));
}
inline std::string sync()
{
  return message('S');
}

inline std::string ready(char status = 'I')
{
  return message('Z', {&status, 1});
}
inline std::string complete(std::string_view tag)
{
  return message('C', text(tag));
}
inline std::string error(std::string_view sqlstate, std::string_view severity = "ERROR")
{
  return message('E',
                 'S' + text(severity) + 'V' + text(severity) + 'C' + text(sqlstate) + 'M' +
                     text("C what went wrong") + text(""));
}
inline std::string notice()
{
  return message('N', 'S' + text("NOTICE") + 'C' + text("00000") + 'M' + text("hm") + text(""));
}
inline std::string row(std::string_view value)
{
  return message('D', std::string("\0\1", 2) + be32(value.size()) + std::string(value));
}
inline std::string columns()
{
  return message('T', std::string("\0\1", 2) + text("a") + std::string(18, '\0'));
}
inline std::string parsed()
{
  return message('1');
}
inline std::string bound()
{
  return message('2');
}
inline std::string parameters()
{
  return message('t', std::string(2, '\0'));
}

}  // namespace sonde::postgresql
