package server

import (
	"context"
	"net"
	"net/netip"

	"postern/server/control"
	"postern/server/directory"
	"postern/storage"
	"postern/web/panel"
)

// panelAddr is the address of the panel, or off.
func (c *Config) panelAddr() string {
	if c.Listen.Panel == "" && c.managed() {
		return ":8443" // or nobody could set the server up
	}
	if c.Listen.Panel == "" {
		return off
	}
	return c.Listen.Panel
}

// site is the host name by which browsers and passkeys know the panel. A laboratory is
// on loopback, where localhost is the one name that they take for a site. A server that
// has no name yet is none.
func (c *Config) site(laboratory bool) string {
	switch {
	case laboratory:
		return "localhost"
	case c.Host == unnamed:
		return ""
	}
	return c.Host
}

// panelURL is where people find the panel; empty when it is off.
func (c *Config) panelURL(laboratory bool) string {
	_, port, err := net.SplitHostPort(c.panelAddr())
	switch {
	case err != nil || c.site(laboratory) == "":
		return ""
	case port == "443":
		return "https://" + c.site(laboratory)
	}
	return "https://" + net.JoinHostPort(c.site(laboratory), port)
}

// newPanel makes the door for people with a browser.
func (s *Server) newPanel(laboratory bool) (*panel.Server, error) {
	return panel.New(panel.Config{
		Host: s.hostName(), Site: s.cfg.panelURL(laboratory), Live: !laboratory, TLS: s.tls, Now: s.now, Log: s.log,
		Control: func(network netip.Addr) *control.Client { return s.control.Inside("panel", network) },
	})
}

// PanelLink is the path of a link by which a person signs in to the panel, once. It is
// for who has made sure of the person, such as a laboratory of its own admin.
func (s *Server) PanelLink(p storage.Person) string {
	return s.panel.Link(func(ctx context.Context) (string, error) {
		_, token, err := s.directory.StartSession(ctx, storage.System, p, directory.SessionSpec{Door: "panel", Factor: true, Fresh: devSession})
		return token, err
	})
}
