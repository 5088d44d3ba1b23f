# SPDX-License-Identifier: Apache-2.0
"""Servers that speak TLS, of this machine or of another root directory, and an agent beside them: for tls_test.py and
attach_cycles.py."""
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
SAMPLE = re.compile(r"^(\w+)\{(.*)\} ([0-9.e+]+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
SIZES = {"small": 30, "page": 30000, "large": 700000}

NGINX = """
daemon off; worker_processes 2; pid @dir@/nginx.pid; error_log @dir@/nginx.error warn;
events {{ worker_connections 512; }}
http {{
  sendfile on; keepalive_requests 1000000; keepalive_timeout 600s; access_log off; client_max_body_size 2m;
  client_body_temp_path @dir@/body; proxy_temp_path @dir@/proxy; fastcgi_temp_path @dir@/fastcgi;
  uwsgi_temp_path @dir@/uwsgi; scgi_temp_path @dir@/scgi;
  server {{
    listen 127.0.0.1:@port@ {tls} backlog=511;
    ssl_certificate @dir@/pem; ssl_certificate_key @dir@/pem; {options}
    root @dir@/files;
    location / {{ error_page 405 =200 $uri; }}
  }}
}}"""
HAPROXY = """
global
  maxconn 512
  nbthread 2
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 600s
  timeout server 600s
frontend front
  bind 127.0.0.1:@port@ ssl crt @dir@/pem
  default_backend back
backend back
  server back 127.0.0.1:@back@ ssl verify none
"""
APACHE = """
ServerRoot @dir@
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
PidFile @dir@/apache.pid
ErrorLog @dir@/apache.error
DefaultRuntimeDir @dir@
Mutex posixsem
Listen 127.0.0.1:@port@
ServerName localhost
SSLEngine on
SSLCertificateFile @dir@/pem
SSLCertificateKeyFile @dir@/pem
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 600
User www-data
Group www-data
DocumentRoot @dir@/files
"""


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def until(seconds, true):
    end = time.monotonic() + seconds
    while not (value := true()) and time.monotonic() < end:
        time.sleep(0.1)
    return value


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.read().decode()
    except OSError:
        return ""


class Bed:
    def __init__(self, options):
        self.options = options
        self.root = pathlib.Path(options.root or "/").resolve()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="sonde-tls.", dir=self.root / "tmp"))
        self.dir.chmod(0o755)
        self.inside = pathlib.Path("/") / self.dir.relative_to(self.root)
        self.processes = []
        self.mounts = []
        if options.root:
            for name in ("proc", "dev"):
                subprocess.run(["mount", "--rbind", "--make-rslave", f"/{name}", self.root / name], check=True)
                self.mounts.append(self.root / name)
        for name in ("tls_peers.py", "tls_peers.js"):
            shutil.copy(HERE / name, self.dir)
        (self.dir / "files").mkdir()
        for name, size in SIZES.items():
            (self.dir / "files" / name).write_bytes(b"b" * size)
        self.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-subj",
                 "/CN=localhost", "-keyout", self.inside / "key", "-out", self.inside / "pem")
        with open(self.dir / "pem", "ab") as pem:
            pem.write((self.dir / "key").read_bytes())
        (self.dir / "pem").chmod(0o644)

    def command(self, words, user=None):
        words = list(map(str, words))
        if self.options.root:
            return ["chroot", *([f"--userspec={user}"] if user else []), str(self.root), *words]
        return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *words] if user else words

    def environment(self, service):
        return {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "OTEL_SERVICE_NAME": service, "LC_ALL": "C"}

    def run(self, *words, service="setup", user=None):
        return subprocess.run(self.command(words, user), check=True, capture_output=True, text=True, env=self.environment(service)).stdout

    def start(self, *words, service, user=None):
        with open(self.dir / f"{service}.log", "ab") as log:
            process = subprocess.Popen(self.command(words, user), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                       env=self.environment(service))
        self.processes.append(process)
        return process

    def configured(self, name, text, **words):
        for word, value in {"dir": self.inside, **words}.items():
            text = text.replace(f"@{word}@", str(value))
        (self.dir / name).write_text(text)
        return self.inside / name

    def listening(self, port):
        def connects():
            with socket.socket() as one:
                return one.connect_ex(("127.0.0.1", port)) == 0
        if not until(20, connects):
            raise RuntimeError(f"nobody listens on {port}: see {self.dir}")
        return port

    def stop(self, process):
        self.processes.remove(process)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self):
        for process in reversed(self.processes[:]):
            self.stop(process)
        for mount in self.mounts:
            subprocess.run(["umount", "-R", "-l", mount], check=False)
        if not self.options.keep:
            shutil.rmtree(self.dir)

    # Servers: each returns its port and the services that count as it.
    def nginx(self, tls="ssl", options=""):
        port = free_port()
        text = NGINX.format(tls=tls, options=options)
        self.start("nginx", "-c", self.configured(f"nginx.{port}", text, port=port), "-g",
                   "user root root;", service="nginx")
        return self.listening(port)

    def nginx_ktls(self):
        return self.nginx(options="ssl_conf_command Options KTLS;")

    def haproxy(self):
        port, back = free_port(), self.nginx()
        self.start("haproxy", "-W", "-db", "-f", self.configured("haproxy", HAPROXY, port=port, back=back), service="haproxy")
        return self.listening(port)

    def apache(self):
        port = free_port()
        self.start("apache2", "-DFOREGROUND", "-f", self.configured("apache", APACHE, port=port), service="apache")
        return self.listening(port)

    def python(self, way):
        port = free_port()
        self.start(self.options.python, self.inside / "tls_peers.py", "serve", way, port, self.inside / "pem", service=way)
        return self.listening(port)

    def sync(self):
        return self.python("sync")

    def asyncio(self):
        return self.python("asyncio")

    def fork(self):
        return self.python("fork")

    def hand(self):
        return self.python("hand")

    def node(self):
        port = free_port()
        self.start("node", self.inside / "tls_peers.js", "serve", port, self.inside / "pem", service="node")
        return self.listening(port)

    def redis(self):
        port = free_port()
        self.start("redis-server", "--port", 0, "--tls-port", port, "--bind", "127.0.0.1", "--save", "", "--tls-cert-file",
                   self.inside / "pem", "--tls-key-file", self.inside / "pem", "--tls-auth-clients", "no", "--dir", self.inside,
                   service="redis")
        return self.listening(port)

    def postgres(self):
        port = free_port()
        binaries = next((self.root / "usr/lib/postgresql").iterdir()).name
        binaries = f"/usr/lib/postgresql/{binaries}/bin"
        home = self.dir / "postgres"
        home.mkdir()
        user = (self.root / "var/lib/postgresql").stat()
        os.chown(home, user.st_uid, user.st_gid)
        user = f"{user.st_uid}:{user.st_gid}" if self.options.root else "postgres"
        self.run(f"{binaries}/initdb", "-D", self.inside / "postgres/data", "--username=sonde", "--auth=trust", "--no-sync", user=user)
        for name in ("key", "pem"):
            shutil.copy(self.dir / name, home)
            os.chown(home / name, (self.root / "var/lib/postgresql").stat().st_uid, -1)
            (home / name).chmod(0o600)
        self.start(f"{binaries}/postgres", "-D", self.inside / "postgres/data", "-p", port, "-c", "listen_addresses=127.0.0.1", "-c",
                   f"unix_socket_directories={self.inside}/postgres", "-c", "fsync=off", "-c", "autovacuum=off", "-c", "ssl=on", "-c",
                   f"ssl_cert_file={self.inside}/postgres/pem", "-c", f"ssl_key_file={self.inside}/postgres/key",
                   user=user, service="postgres")
        return self.listening(port)


class Agent:
    def __init__(self, bed):
        self.bed, self.port, self.process = bed, free_port(), None
        rules = [{"name": name, "exe": f"/{exe}$"} for name, exe in
                 (("nginx", "nginx"), ("haproxy", "haproxy"), ("apache", "apache2"), ("postgres", "postgres"),
                  ("redis", "redis-(server|check-rdb)"),
                  ("pgbench", "pgbench"), ("redis-benchmark", "redis-benchmark"))]
        (bed.dir / "sonde.yaml").write_text(json.dumps({"socket": {"ring-bytes": "64Mi"}, "services": {"rules": rules}}))

    def launch(self):
        with open(self.bed.dir / "sonde.log", "ab") as log:
            self.process = subprocess.Popen([self.bed.options.sonde, "run", f"--config.file={self.bed.dir}/sonde.yaml",
                                             f"--web.listen-address=127.0.0.1:{self.port}", f"--control.socket={self.bed.dir}/control"],
                                            stdout=log, stderr=log)
        self.bed.processes.append(self.process)

    def start(self):
        self.launch()
        if not until(60, lambda: get(self.port, "/-/ready")):
            raise RuntimeError("the agent does not become ready")
        time.sleep(1.5)  # of the libraries of processes that are there

    def stop(self):
        self.bed.stop(self.process)

    def scrape(self):
        samples = collections.Counter()
        for line in get(self.port, "/metrics").splitlines():
            if found := SAMPLE.match(line):
                samples[found[1], tuple(sorted(LABEL.findall(found[2])))] = float(found[3])
        return samples
