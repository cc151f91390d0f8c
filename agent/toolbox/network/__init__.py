"""Connections: ports that lead out through the proxy, ports the host reaches, pages of the web."""
