"""The proxies of Debian's packages: the least that makes each one, and what it tells of a client.

The facts are asserted, so that a new version that changes one is noticed.  None of them is ours:
a proxy is the server's client, and only what it does with that connection can be seen.
"""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

SEARCHED = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
"""Daemons are not on everybody's path."""

# Each has one port for HTTP/1.1, and where there is HTTP/2, another for both over TLS.
# {settings} are what a configuration adds.

# With HTTP/1.0, its default in 1.22, it holds back the first pieces of granian's streams.
NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    server {{
        listen 127.0.0.1:{port};
        listen 127.0.0.1:{tls_port} ssl http2;
        location / {{
            proxy_pass http://{app};
            proxy_http_version 1.1;
            {settings}
        }}
    }}
}}
"""

HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    {settings}
frontend clients
    bind 127.0.0.1:{port}
    bind 127.0.0.1:{tls_port} ssl crt {both} alpn h2,http/1.1
    default_backend app
backend app
    server app {app}
"""

CADDY = """
{{
    admin off
    auto_https off
}}
:{port} {{
    bind 127.0.0.1
    reverse_proxy {app} {{
        {settings}
    }}
}}
:{tls_port} {{
    bind 127.0.0.1
    tls {certificate} {key}
    reverse_proxy {app} {{
        {settings}
    }}
}}
"""

APACHE = """
ServerName localhost
DefaultRuntimeDir {folder}
PidFile {folder}/apache2.pid
ErrorLog {folder}/error.log
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
User www-data
Group www-data
Listen 127.0.0.1:{port}
Listen 127.0.0.1:{tls_port}
Protocols h2 http/1.1
ProxyPass / http://{app}/
{settings}
<VirtualHost 127.0.0.1:{port}>
</VirtualHost>
<VirtualHost 127.0.0.1:{tls_port}>
    SSLEngine on
    SSLCertificateFile {certificate}
    SSLCertificateKeyFile {key}
</VirtualHost>
"""

LIGHTTPD = """
server.bind = "127.0.0.1"
server.port = {port}
server.document-root = "{folder}"
server.upload-dirs = ("{folder}")
server.modules = ("mod_proxy")
proxy.server = ("" => (("host" => "{app_host}", "port" => {app_port})))
{settings}
"""


WAYS = ("fin", "rst", "half-close")
"""The ways to leave over HTTP/1.1."""
HTTP2_WAYS = ("rst-stream", "close-notify-fin", "fin", "rst")
"""... and over HTTP/2 and TLS."""

EVERY_WAY = frozenset((*WAYS, *HTTP2_WAYS))
NO_WAY: frozenset[str] = frozenset()
CLOSED = EVERY_WAY - {"half-close"}
"""The connection, or the HTTP/2 stream, is closed both ways."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """The ways to leave that the app learns of."""

    while_waiting: frozenset[str] = EVERY_WAY
    """When nothing of the response is there yet."""
    in_silent_streams: frozenset[str] = EVERY_WAY
    """When the response has begun, and pauses."""
    in_busy_streams: frozenset[str] = EVERY_WAY
    """While pieces of the response go out."""


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """One proxy with certain settings."""

    name: str
    program: str
    package: str
    """Debian's."""
    command: tuple[str, ...]
    """Its arguments; ``{file}`` stands for the configuration."""
    template: str
    settings: str = ""
    http1: Told = Told()
    http2: Told | None = Told()
    """None: it does not speak it, over TLS."""
    calls_on_partial_upload: bool = True
    """The app is called before the request's body is complete."""
    undecided: frozenset[str] = frozenset()
    """The ways that are told or not, as it happens: a race inside the proxy."""
    delivers_streams: bool = True
    """The pieces of a response go out as they come."""
    status: int = 504
    """What its client gets when it gives up."""

    @property
    def path(self) -> str | None:
        """Where the program is."""
        return shutil.which(self.program, path=SEARCHED)

    def configure(self, folder: Path, **what: object) -> str:
        """Its configuration file's text."""
        settings = self.settings
        return self.template.format(folder=folder, settings=settings, **what)


NGINX_PROXY = Proxy(
    name="nginx",
    program="nginx",
    package="nginx-light",
    command=("-e", "stderr", "-c", "{file}"),
    template=NGINX,
    calls_on_partial_upload=False,
)
HAPROXY_PROXY = Proxy(
    name="haproxy",
    program="haproxy",
    package="haproxy",
    command=("-db", "-f", "{file}"),
    template=HAPROXY,
    http1=Told(while_waiting=NO_WAY, in_silent_streams=NO_WAY, in_busy_streams=CLOSED),
    http2=Told(
        while_waiting=CLOSED - {"close-notify-fin"},
        in_silent_streams=frozenset(("rst-stream", "rst")),
    ),
)
CADDY_PROXY = Proxy(
    name="caddy",
    program="caddy",
    package="caddy",
    command=("run", "--adapter", "caddyfile", "--config", "{file}"),
    template=CADDY,
)
APACHE_PROXY = Proxy(
    name="apache",
    program="apache2",
    package="apache2",
    command=("-X", "-f", "{file}"),
    template=APACHE,
    http1=Told(while_waiting=NO_WAY, in_silent_streams=NO_WAY, in_busy_streams=CLOSED),
    http2=Told(while_waiting=NO_WAY, in_silent_streams=NO_WAY),
)
LIGHTTPD_PROXY = Proxy(
    name="lighttpd",
    program="lighttpd",
    package="lighttpd",
    command=("-D", "-f", "{file}"),
    template=LIGHTTPD,
    http1=Told(while_waiting=NO_WAY, in_silent_streams=NO_WAY, in_busy_streams=NO_WAY),
    http2=None,
    calls_on_partial_upload=False,
    undecided=frozenset(("rst",)),
    delivers_streams=False,
)

PROXIES = (
    NGINX_PROXY,
    replace(
        NGINX_PROXY,
        name="nginx-proxy_request_buffering-off",
        settings="proxy_request_buffering off;",
        calls_on_partial_upload=True,
    ),
    replace(
        NGINX_PROXY,
        name="nginx-proxy_ignore_client_abort-on",
        settings="proxy_ignore_client_abort on;",
        http1=Told(while_waiting=NO_WAY, in_silent_streams=NO_WAY, in_busy_streams=CLOSED),
        http2=Told(while_waiting=NO_WAY, in_silent_streams=NO_WAY),
    ),
    HAPROXY_PROXY,
    replace(
        HAPROXY_PROXY,
        name="haproxy-abortonclose",
        settings="option abortonclose",
        http1=Told(),
        http2=Told(),
    ),
    CADDY_PROXY,
    APACHE_PROXY,
    LIGHTTPD_PROXY,
    replace(
        LIGHTTPD_PROXY,
        name="lighttpd-streaming",
        settings="server.stream-response-body = 2\nserver.stream-request-body = 2",
        http1=Told(while_waiting=NO_WAY, in_silent_streams=NO_WAY, in_busy_streams=CLOSED),
        calls_on_partial_upload=True,
        delivers_streams=True,
    ),
)

IMPATIENT = (
    replace(NGINX_PROXY, settings="proxy_read_timeout 500ms;"),
    replace(HAPROXY_PROXY, settings="timeout server 500ms"),
    replace(CADDY_PROXY, settings="transport http {\nresponse_header_timeout 500ms\n}"),
    replace(APACHE_PROXY, settings="ProxyTimeout 1", status=502),
)
"""They give up when nothing has come of a response for so long."""
