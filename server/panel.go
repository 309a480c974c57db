package server

import (
	"context"
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

// newPanel makes the door for people with a browser.
func (s *Server) newPanel(laboratory bool) (*panel.Server, error) {
	return panel.New(panel.Config{
		Host: s.hostName(), Live: !laboratory, TLS: s.tls, Now: s.now, Log: s.log,
		Control: func(network netip.Addr) *control.Client { return s.control.Inside("panel", network) },
	})
}

// PanelLink is the path of a link by which a person signs in to the panel, once. It is
// for who has made sure of the person, such as a laboratory of its own admin.
func (s *Server) PanelLink(p storage.Person) string {
	return s.panel.Link(func(ctx context.Context) (string, error) {
		_, token, err := s.directory.StartSession(ctx, storage.System, p, directory.SessionSpec{Door: "panel", Factor: true})
		return token, err
	})
}
