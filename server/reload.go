package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
)

// Reloaded is what a server is made anew with when its configuration was read again.
type Reloaded struct {
	Config Config
	TLS    *tls.Config
	Log    *slog.Logger
	Handed map[string]net.Listener // of doors that have another address, bound already
}

// reloader reads certificates and configuration again when it is told to.
type reloader struct {
	cfg      Config
	certs    *certificates // nil: none in files
	sockets  bool          // they were handed over
	log      *slog.Logger
	reloaded chan Reloaded
}

// run acts on each signal. What cannot be used leaves what there is in service.
func (r *reloader) run(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		next, err := r.cfg.again()
		if err == nil {
			err = r.takes(&next)
		}
		if err != nil {
			r.log.Error("the configuration could not be read again; the old one stays in service", "error", err)
			next = r.cfg
		}
		changed := r.cfg.differences(&next)
		if len(changed) == 0 {
			r.certs.reload(r.log)
			continue
		}
		made, err := r.make(ctx, next)
		if err != nil {
			r.log.Error("the configuration that was read again cannot be used; the old one stays in service", "error", err)
			continue
		}
		r.log.Info("the configuration was read again", "changed", strings.Join(changed, " "))
		select {
		case r.reloaded <- made:
			r.cfg = next
		case <-ctx.Done():
			closeAll(made.Handed)
			return
		}
	}
}

// restarts are settings that only a new process takes over: what it holds on to, and
// which data it is about.
var restarts = []string{"data", "keys.root", "keys.witness"}

// takes says why another configuration cannot be taken over while the server runs.
func (r *reloader) takes(next *Config) error {
	for _, key := range r.cfg.differences(next) {
		if slices.Contains(restarts, key) || r.sockets && strings.HasPrefix(key, "listen.") && key != "listen.dns" {
			return &ConfigError{Key: key, Text: "another value counts after a restart only"}
		}
	}
	return nil
}

// make prepares what the next server needs, so that it does not fail for want of a
// certificate or of a port that somebody else has.
func (r *reloader) make(ctx context.Context, next Config) (Reloaded, error) {
	made := Reloaded{Config: next, Log: newLog(os.Stderr, next.Log), Handed: map[string]net.Listener{}}
	certs, err := loadCertificates(next)
	if err != nil {
		return made, err
	}
	was := r.cfg.doors()
	for i, d := range next.doors() {
		if d.addr == off || d.addr == was[i].addr || next.managed() {
			continue
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", d.addr)
		if err != nil {
			closeAll(made.Handed)
			return made, fmt.Errorf("listen.%s: %w", d.name, err)
		}
		made.Handed[d.name] = l
	}
	made.TLS, r.certs, r.log = certs.config(), certs, made.Log
	return made, nil
}

// copies are other listeners on the same sockets of TCP. One of the control socket would
// take its file along when it is closed.
func copies(all map[string]net.Listener) map[string]net.Listener {
	more := map[string]net.Listener{}
	for name, l := range all {
		if _, tcp := l.(*net.TCPListener); !tcp {
			continue
		}
		if c, err := again(l); err == nil {
			more[name] = c
		}
	}
	return more
}

func closeAll(all map[string]net.Listener) {
	for _, l := range all {
		l.Close()
	}
}

// again reads the settings from where they came from. A configuration that came from
// nowhere stays as it is.
func (c *Config) again() (Config, error) {
	if c.sources == nil {
		return *c, nil
	}
	return LoadConfig(*c.sources)
}

// differences are the keys of settings that have another value.
func (c *Config) differences(next *Config) (keys []string) {
	now := next.Settings()
	for i, s := range c.Settings() {
		if s.Value != now[i].Value {
			keys = append(keys, s.Key)
		}
	}
	return keys
}

// follow has a server made anew when a configuration comes, and returns it; nil: the
// server came to its end before.
func (s *Server) follow(ctx context.Context, reloaded <-chan Reloaded) *Reloaded {
	select {
	case next := <-reloaded:
		s.next.Store(&next)
		s.again.Do(func() { close(s.renew) })
		return &next
	case <-ctx.Done():
		return nil
	}
}
