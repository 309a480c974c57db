package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// Serve runs a server from its configuration until the context is done, and
// then stops it in order; a stop that comes during the start is no error either.
// SIGHUP reads certificate files and configuration again; where that says something
// else, the server is made anew within the process, and who connects meanwhile waits.
// What must be mended in the configuration, and a root key that is missing or another
// one, is a *ConfigError. Where no configuration names the server, out is told how a
// person sets it up; what they say is taken over without another start of the process.
func Serve(ctx context.Context, cfg Config, out io.Writer) error {
	defer untidy()()
	log := newLog(os.Stderr, cfg.Log)
	sockets, err := takeSockets()
	if err != nil {
		return err
	}
	o := Options{Log: log}
	if o.Sockets, err = cfg.assign(sockets); err != nil {
		return err
	}
	certs, err := loadCertificates(cfg)
	if err != nil {
		return err
	}
	o.TLS = certs.config()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	stop := context.AfterFunc(ctx, func() { notify("STOPPING=1") })
	defer stop()
	running, end := context.WithCancel(ctx)
	defer end()
	r := &reloader{cfg: cfg, certs: certs, sockets: len(sockets) > 0, log: log, reloaded: make(chan Reloaded)}
	o.Reloaded = r.reloaded
	go r.run(running, hangup)
	return Generations(ctx, cfg, o, func(s *Server, first bool) error {
		if !first {
			return nil
		}
		notify("READY=1")
		return s.Welcome(ctx, out)
	})
}

// startGarbage is how much garbage lies for the first second, in per cent of what is in
// use and of 4 MB at least. A start makes about 10 MB, and collecting those two or three
// times takes a seventh of its processor time.
const startGarbage = 400

// untidy begins that second, and returns what ends it at once.
func untidy() (end func()) {
	usual := debug.SetGCPercent(startGarbage)
	end = sync.OnceFunc(func() { debug.SetGCPercent(usual) })
	time.AfterFunc(time.Second, end)
	return end
}

// Generations runs a server, and another in its place whenever set-up says something
// else or another configuration comes, until the context is done or one fails. A
// configuration that came and does not work gives way to the one before. born is called
// with each server once its doors are open, and its error is the end; nil: nobody is told.
func Generations(ctx context.Context, cfg Config, o Options, born func(s *Server, first bool) error) error {
	var before *Reloaded // what ran until another configuration came
	for first := true; ; first = false {
		s, err := New(ctx, cfg, o)
		switch {
		case err != nil && ctx.Err() != nil:
			closeAll(o.Handed)
			if o.Log != nil {
				o.Log.Info("stopped before the start was done", "at", err)
			}
			return nil
		case err != nil && before != nil:
			closeAll(o.Handed)
			o.Log.Error("the configuration that was read again does not work; the one before is in service", "error", err)
			cfg, o.TLS, o.Log, o.Handed, before = before.Config, before.TLS, before.Log, before.Handed, nil
			continue
		case err != nil:
			closeAll(o.Handed)
			return err
		}
		if before != nil {
			closeAll(before.Handed)
		}
		next, err := s.generation(ctx, first, o.Reloaded, born)
		if !errors.Is(err, ErrRenew) {
			return err
		}
		o.Handed, o.looked, before = s.Handed(), s.guide.Looked(), nil
		if next != nil {
			before = &Reloaded{Config: cfg, TLS: o.TLS, Log: o.Log, Handed: copies(o.Handed)}
			cfg, o.TLS, o.Log = next.Config, next.TLS, next.Log
			for name, l := range next.Handed {
				if old := o.Handed[name]; old != nil {
					old.Close()
				}
				o.Handed[name] = l
			}
		}
	}
}

// generation runs one server to its end, and returns what the next one is made with,
// where another configuration came.
func (s *Server) generation(ctx context.Context, first bool, reloaded <-chan Reloaded, born func(s *Server, first bool) error) (next *Reloaded, err error) {
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
	var follows sync.WaitGroup
	follows.Go(func() { next = s.follow(running, reloaded) })
	err = errors.Join(told, s.Run(running))
	end()
	follows.Wait()
	if next != nil && !errors.Is(err, ErrRenew) {
		closeAll(next.Handed)
	}
	return next, err
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
