package server

import (
	"context"
	"errors"
	"slices"
	"time"
)

// metricsAddr is the address of the door for programs that look after this server,
// or off.
func (c *Config) metricsAddr() string {
	if c.Listen.Metrics == "" {
		return off
	}
	return c.Listen.Metrics
}

// The phases of a server's life.
const (
	phaseStarting int32 = iota
	phaseServing
	phaseStopping
)

// alive reports whether the process works: its database answers. One that lives and
// can read nothing is better started anew. // AV-3
func (s *Server) alive(ctx context.Context) error {
	_, err := s.store.Organizations(ctx)
	return err
}

// Why a server takes no mail.
var (
	errNotServing = errors.New("server: it starts or stops")
	errNotSetUp   = errors.New("server: it is not set up yet, and its doors for mail are closed")
	errDoorShut   = errors.New("server: a door for mail could not be opened")
)

// ready reports whether mail is taken: the doors are open, what comes can be stored,
// and nobody has begun to stop. // AV-3
func (s *Server) ready(ctx context.Context) error {
	shut := slices.ContainsFunc(s.shut, func(d shutDoor) bool { return slices.Contains(mailDoors, d.name) })
	switch {
	case s.phase.Load() != phaseServing:
		return errNotServing
	case s.managed && !s.wired.Open:
		return errNotSetUp
	case shut:
		return errDoorShut
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	return s.store.Writable(ctx)
}

// readyTime is how long a disk may take until it is called away.
const readyTime = 3 * time.Second

// mailDoors are the doors without which mail does not come, go, or get read.
var mailDoors = []string{"smtp", "submission", "submissions", "imaps"}
