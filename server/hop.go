package server

import (
	"crypto/x509"
	"net"
	"os"
	"strconv"
	"strings"

	"postern/server/relay"
)

// config is what the relay is told. Errors are *ConfigError.
func (r *RelayConfig) config(host string) (relay.Config, error) {
	c := relay.Config{Hostname: host, Port: uint16(r.Port), PolicyPort: uint16(r.PolicyPort), AllowPrivate: r.AllowPrivate}
	if r.CAFile != "" {
		pem, err := os.ReadFile(r.CAFile)
		if err != nil {
			return c, &ConfigError{Key: "relay.ca_file", Text: "cannot be read", Err: err}
		}
		c.Roots = x509.NewCertPool()
		if !c.Roots.AppendCertsFromPEM(pem) {
			return c, &ConfigError{Key: "relay.ca_file", Text: "holds no certificate in PEM"}
		}
	}
	if r.SmartHost == "" {
		return c, nil
	}
	name, port, err := net.SplitHostPort(r.SmartHost)
	if err != nil {
		return c, &ConfigError{Key: "relay.smarthost", Text: "is not host:port", Err: err}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return c, &ConfigError{Key: "relay.smarthost", Text: "has no port number", Err: err}
	}
	c.SmartHost = &relay.SmartHost{Host: name, Port: uint16(n), ImplicitTLS: r.TLS == "implicit", Username: r.User}
	if r.PasswordFile != "" {
		password, err := os.ReadFile(r.PasswordFile)
		if err != nil {
			return c, &ConfigError{Key: "relay.password_file", Text: "cannot be read", Err: err}
		}
		c.SmartHost.Password = strings.TrimRight(string(password), "\r\n")
	}
	return c, nil
}
