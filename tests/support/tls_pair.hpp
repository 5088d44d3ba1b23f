// SPDX-License-Identifier: Apache-2.0
// Ends of TLS connections by the libssl that the tests run with: over the socket itself, or fed
// from memory as event loops do it.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace sonde::testing {

enum class TlsWay { kSocket, kSocketExtended, kMemory };

// A context with a certificate of its own, for both ends.
inline SSL_CTX* tls_context()
{
  static SSL_CTX* const kContext = [] {
    auto* key = EVP_EC_gen("P-256");
    auto* certificate = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_sign(certificate, key, EVP_sha256());
    auto* context = SSL_CTX_new(TLS_method());
    SSL_CTX_use_certificate(context, certificate);
    SSL_CTX_use_PrivateKey(context, key);
    return context;
  }();
  return kContext;
}

class TlsEnd {
public:
  // Takes the socket.
  TlsEnd(int fd, bool server, TlsWay way) : fd_(fd), way_(way), ssl_(SSL_new(tls_context()))
  {
    if (way == TlsWay::kMemory) {
      in_ = BIO_new(BIO_s_mem());
      out_ = BIO_new(BIO_s_mem());
      SSL_set_bio(ssl_.get(), in_, out_);
    } else {
      SSL_set_fd(ssl_.get(), fd);
    }
    if (server)
      SSL_set_accept_state(ssl_.get());
    else
      SSL_set_connect_state(ssl_.get());
  }
  TlsEnd(const TlsEnd&) = delete;
  TlsEnd& operator=(const TlsEnd&) = delete;
  ~TlsEnd()
  {
    SSL_shutdown(ssl_.get());
    flush();
    ssl_.reset();
    ::close(fd_);
  }

  bool handshake()
  {
    return again([this] { return SSL_do_handshake(ssl_.get()); }) > 0;
  }
  // False at the end of the stream.
  bool read(std::string& to)
  {
    std::array<char, 4096> bytes{};
    std::size_t length = 0;
    const int result = again([&] {
      if (way_ == TlsWay::kSocketExtended)
        return SSL_read_ex(ssl_.get(), bytes.data(), bytes.size(), &length);
      const int n = SSL_read(ssl_.get(), bytes.data(), bytes.size());
      length = n > 0 ? static_cast<std::size_t>(n) : 0;
      return n;
    });
    to.append(bytes.data(), length);
    return result > 0;
  }
  // Until there is something to read; looks at it, where that is possible.
  bool wait()
  {
    if (way_ == TlsWay::kMemory)
      return true;
    pollfd readable{.fd = fd_, .events = POLLIN, .revents = 0};
    if (SSL_pending(ssl_.get()) == 0 && ::poll(&readable, 1, -1) != 1)
      return false;
    std::array<char, 16> bytes{};
    return SSL_peek(ssl_.get(), bytes.data(), bytes.size()) > 0;
  }
  bool write(std::string_view bytes)
  {
    std::size_t length = 0;
    const int size = static_cast<int>(bytes.size());
    const int result = again([&] {
      return way_ == TlsWay::kSocketExtended
                 ? SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &length)
                 : SSL_write(ssl_.get(), bytes.data(), size);
    });
    return result > 0;
  }

  // What is received waits as long before the library gets it, where that is fed from memory.
  void rest(std::chrono::milliseconds time) { rest_ = time; }

private:
  template <typename Operation>
  int again(Operation operation)
  {
    for (;;) {
      const int result = operation();
      flush();
      if (result > 0 || way_ != TlsWay::kMemory ||
          SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ)
        return result;
      std::array<char, 4096> bytes{};
      const auto n = ::recv(fd_, bytes.data(), bytes.size(), 0);
      if (n <= 0)
        return 0;
      std::this_thread::sleep_for(rest_);
      BIO_write(in_, bytes.data(), static_cast<int>(n));
    }
  }
  void flush()
  {
    std::array<char, 20'000> bytes{};
    for (int n = 0; out_ != nullptr && (n = BIO_read(out_, bytes.data(), bytes.size())) > 0;)
      if (::send(fd_, bytes.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL) != n)
        return;
  }

  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  int fd_;
  TlsWay way_;
  std::unique_ptr<SSL, Free> ssl_;
  BIO* in_ = nullptr;
  BIO* out_ = nullptr;
  std::chrono::milliseconds rest_{};
};

}  // namespace sonde::testing
