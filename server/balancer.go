package server

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"postern/server/proxy"
)

// streams are the doors that speak over TCP with clients one by one, by their names in
// the configuration.
var streams = []string{"smtp", "submission", "submissions", "imaps", "http", "https", "panel"}

// checkProxy says what is wrong with what is configured of load balancers: a
// *ConfigError, or nil.
func (c *Config) checkProxy() error {
	if _, err := proxy.ParseNetworks(c.Proxy.From); err != nil {
		return &ConfigError{Key: "proxy.from", Text: "cannot be used", Err: err}
	}
	for _, name := range c.Proxy.Listeners {
		if !slices.Contains(streams, name) {
			return &ConfigError{Key: "proxy.listeners", Text: fmt.Sprintf("%q is no listener that a load balancer can be in front of", name), Hint: strings.Join(streams, ", ")}
		}
	}
	if len(c.Proxy.Listeners) > 0 && len(c.Proxy.From) == 0 {
		return &ConfigError{Key: "proxy.listeners", Text: "nobody is believed while proxy.from is empty", Hint: `as from = ["10.0.0.0/8"]`}
	}
	return nil
}

// proxied reports whether load balancers may be in front of a door.
func (c *Config) proxied(door string) bool {
	return len(c.Proxy.From) > 0 && slices.Contains(streams, door) && (len(c.Proxy.Listeners) == 0 || slices.Contains(c.Proxy.Listeners, door))
}

// behind is a door's listener, which knows who is behind a load balancer where one is
// configured. TLS comes after what the balancer says.
func (s *Server) behind(d door) (net.Listener, error) {
	if !s.cfg.proxied(d.name) {
		return d.listener, nil
	}
	from, err := proxy.ParseNetworks(s.cfg.Proxy.From)
	if err != nil {
		return nil, err
	}
	return proxy.Listen(d.listener, from, func(peer netip.Addr) {
		s.directory.Refuse(peer, "CONNECT", "proxy-header") // AU-13
	}), nil
}
