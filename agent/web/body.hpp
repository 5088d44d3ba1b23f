// SPDX-License-Identifier: Apache-2.0
// The body of a response as Beast's serializer wants it: the text as it is, or compressed piece by
// piece as the socket takes it.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/optional.hpp>

#include "agent/web/gzip.hpp"

namespace sonde::web {

// Meets Beast's Body concept, which asks for these names.
struct Body {
  struct value_type {  // NOLINT(readability-identifier-naming)
    std::string text;
    bool gzip = false;
  };

  class writer {  // NOLINT(readability-identifier-naming)
  public:
    using const_buffers_type = boost::asio::const_buffer;
    using Piece = boost::optional<std::pair<const_buffers_type, bool>>;  // and whether more follows

    template <bool isRequest, class Fields>
    writer(const boost::beast::http::header<isRequest, Fields>&, const value_type& body)
        : body_(body)
    {
    }

    void init(boost::beast::error_code& error)
    {
      error = {};
      if (body_.gzip)
        gzip_ = std::make_unique<Gzip>(body_.text);
    }

    Piece get(boost::beast::error_code& error)
    {
      error = {};
      if (!gzip_)
        return std::pair{const_buffers_type(body_.text.data(), body_.text.size()), false};
      const auto piece = gzip_->next();
      if (gzip_->failed())
        error = make_error_code(boost::system::errc::not_enough_memory);
      return std::pair{const_buffers_type(piece.data(), piece.size()), !gzip_->done()};
    }

  private:
    const value_type& body_;
    std::unique_ptr<Gzip> gzip_;
  };
};

}  // namespace sonde::web
