# SPDX-License-Identifier: Apache-2.0
"""Servers that speak HTTP/2, each by TLS and in plain text: for http2_test.py."""
import os
import shutil

import tls_bed

SIZES = {**tls_bed.SIZES, "huge": 5000000}
HAPROXY = """
global
  maxconn 512
  nbthread 2
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 600s
  timeout server 600s
frontend front
  bind 127.0.0.1:@port@ @tls@
  default_backend back
backend back
  server back 127.0.0.1:@back@ @back_tls@
"""
APACHE = tls_bed.APACHE.replace("LoadModule ssl", "LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so\nLoadModule ssl") + \
    "Protocols h2 h2c\n"


class Bed(tls_bed.Bed):
    def __init__(self, options):
        super().__init__(options)
        for name in ("http2_peers.js", "http2_calls.py"):
            shutil.copy(tls_bed.HERE / name, self.dir)
        (self.dir / "files/huge").write_bytes(b"b" * SIZES["huge"])

    def nginx(self, tls="ssl http2", options=""):
        return super().nginx(tls, options)

    def nginx_plain(self):
        return self.nginx("http2")

    def nginx_goaway(self):
        """A connection ends after 40 requests, by GOAWAY."""
        return self.nginx(options="keepalive_requests 40;")

    def haproxy(self, tls="ssl crt @dir@/pem alpn h2", back_tls="ssl verify none alpn h2"):
        back = self.nginx() if back_tls.startswith("ssl") else self.nginx_plain()
        port = tls_bed.free_port()
        text = HAPROXY.replace("@tls@", tls).replace("@back_tls@", back_tls)
        self.start("haproxy", "-W", "-db", "-f", self.configured(f"haproxy.{port}", text, port=port, back=back), service="haproxy")
        return self.listening(port)

    def haproxy_plain(self):
        return self.haproxy("proto h2", "proto h2")

    def apache(self):
        port = tls_bed.free_port()
        self.start("apache2", "-DFOREGROUND", "-f", self.configured("apache", APACHE, port=port), service="apache")
        return self.listening(port)

    def apache_plain(self):
        port = tls_bed.free_port()
        text = "\n".join(line for line in APACHE.splitlines() if not line.startswith("SSL")).replace("apache.", "apache_plain.")
        self.start("apache2", "-DFOREGROUND", "-f", self.configured("apache_plain", text, port=port), service="apache")
        return self.listening(port)

    def node(self, *certificate):
        port = tls_bed.free_port()
        certificate = certificate or (self.inside / "pem",)
        self.start("node", self.inside / "http2_peers.js", "serve", port, *filter(None, certificate), service="node")
        return self.listening(port)

    def node_plain(self):
        return self.node("")

    def nghttpd(self, *flags):
        port = tls_bed.free_port()
        files = (self.inside / "key", self.inside / "pem") if not flags else ()
        self.start("nghttpd", "-d", self.inside / "files", "-a", "127.0.0.1", *flags, port, *files, service="nghttpd")
        return self.listening(port)

    def nghttpd_plain(self):
        return self.nghttpd("--no-tls")

    def grpc(self):
        port = tls_bed.free_port()
        self.start(self.options.python, self.inside / "http2_calls.py", "serve", port, self.inside / "grpc", service="grpc")
        return self.listening(port)


def urls(server, port):
    return f"{'http' if server.endswith('_plain') else 'https'}://127.0.0.1:{port}"


def service_of(server):
    return server.split("_")[0]


def own_service(client):
    """Other runs have clients, too."""
    return f"{client}-{os.getpid()}"
