package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// Serve runs a server from its configuration until the context is done, and
// then stops it in order; a stop that comes during the start is no error either.
// SIGHUP reads the certificate files again. What must be mended in the
// configuration, and a root key that is missing or another one, is a
// *ConfigError. Where no configuration names the server, out is told how a person
// sets it up; what they say is taken over without another start of the process.
func Serve(ctx context.Context, cfg Config, out io.Writer) error {
	log := newLog(os.Stderr, cfg.Log)
	certs, err := loadCertificates(cfg)
	if err != nil {
		return err
	}
	o := Options{Log: log}
	if certs != nil {
		o.TLS = &tls.Config{GetCertificate: certs.get}
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	stop := context.AfterFunc(ctx, func() { notify("STOPPING=1") })
	defer stop()
	if certs != nil {
		running, end := context.WithCancel(ctx)
		defer end()
		go certs.reloadOn(running, hangup, log)
	}
	return Generations(ctx, cfg, o, func(s *Server, first bool) error {
		if !first {
			return nil
		}
		notify("READY=1")
		return s.Welcome(ctx, out)
	})
}

// Generations runs a server, and another in its place whenever set-up says something
// else, until the context is done or one fails. born is called with each once its doors
// are open, and its error is the end; nil: nobody is told.
func Generations(ctx context.Context, cfg Config, o Options, born func(s *Server, first bool) error) error {
	for first := true; ; first = false {
		s, err := New(ctx, cfg, o)
		if err != nil {
			for _, l := range o.Handed {
				l.Close()
			}
			if ctx.Err() != nil && o.Log != nil {
				o.Log.Info("stopped before the start was done", "at", err)
			}
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if err := s.generation(ctx, first, born); !errors.Is(err, ErrRenew) {
			return err
		}
		o.Handed = s.Handed()
	}
}

// generation runs one server to its end.
func (s *Server) generation(ctx context.Context, first bool, born func(s *Server, first bool) error) error {
	running, end := context.WithCancel(ctx)
	defer end()
	go watchdog(running, s)
	var told error
	if born != nil {
		told = born(s, first)
	}
	if ctx.Err() != nil {
		told = nil // a stop that came meanwhile, and no fault
	}
	if told != nil {
		end()
	}
	return errors.Join(told, s.Run(running))
}

// newLog makes the log of a process.
func newLog(w io.Writer, c LogConfig) *slog.Logger {
	level, err := c.level()
	if err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// ignoreClosed drops the errors that a server returns because it was stopped.
func ignoreClosed(err error, closed ...error) error {
	for _, c := range closed {
		if errors.Is(err, c) {
			return nil
		}
	}
	return err
}
