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
// *ConfigError.
func Serve(ctx context.Context, cfg Config) error {
	log := newLog(os.Stderr, cfg.Log)
	certs, err := loadCertificates(cfg)
	if err != nil {
		return err
	}
	o := Options{Log: log}
	if certs != nil {
		o.TLS = &tls.Config{GetCertificate: certs.get}
	}
	s, err := New(ctx, cfg, o)
	if err != nil && ctx.Err() != nil {
		log.Info("stopped before the start was done", "at", err)
		return nil
	}
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	stop := context.AfterFunc(ctx, func() { notify("STOPPING=1") })
	defer stop()
	running, end := context.WithCancel(ctx)
	defer end()
	if certs != nil {
		go certs.reloadOn(running, hangup, log)
	}
	go watchdog(running, s)
	notify("READY=1")
	return s.Run(ctx)
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
