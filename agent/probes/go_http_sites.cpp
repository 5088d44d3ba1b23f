// SPDX-License-Identifier: Apache-2.0
#include "go_http.skel.h"

#include "agent/probes/go_http_plan.hpp"

namespace sonde::go_http {

const bpf_program* program_of(const go_http_bpf& object, Site site)
{
  const auto& programs = object.progs;
  switch (site) {
  case Site::kStart:
    return programs.go_http_start;
  case Site::kHttp2Start:
    return programs.go_http2_start;
  case Site::kEnd:
    return programs.go_http_end;
  case Site::kHttp2End:
    return programs.go_http2_end;
  case Site::kHttp2Done:
    return programs.go_http2_done;
  case Site::kConnectionEnd:
    return programs.go_http_connection_end;
  case Site::kHeader:
    return programs.go_http_header;
  case Site::kCapture:
    return programs.go_http_capture;
  case Site::kHandler:
    return programs.go_http_handler;
  case Site::kServeMux:
    return programs.go_http_mux;
  case Site::kGin:
    return programs.go_http_gin;
  case Site::kGinRoute:
    return programs.go_http_gin_route;
  case Site::kChi:
    return programs.go_http_chi;
  case Site::kGorilla:
    return programs.go_http_gorilla;
  case Site::kEcho:
    return programs.go_http_echo;
  case Site::kClientStart:
    return programs.go_http_client_start;
  case Site::kClientEnd:
    return programs.go_http_client_end;
  case Site::kHttp2ClientStart:
    return programs.go_http2_client_start;
  case Site::kHttp2ClientEnd:
    return programs.go_http2_client_end;
  case Site::kTlsBegins:
    return programs.go_http_tls_begins;
  case Site::kHttp2Begins:
    return programs.go_http2_begins;
  case Site::kClientBegins:
    return programs.go_http_client_begins;
  }
  return nullptr;
}

}  // namespace sonde::go_http
