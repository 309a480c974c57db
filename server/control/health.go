package control

import (
	"context"
	"fmt"
	"time"

	"postern/storage"
)

// Health is how the server is.
type Health struct {
	OK       bool         `json:"ok"`
	Version  string       `json:"version"`
	Host     string       `json:"host"`
	Checks   []Check      `json:"checks"`
	Sessions int          `json:"sessions"` // of agents, now
	Queue    []QueueCount `json:"queue"`
}

// Check is one thing that was looked at.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Text string `json:"text,omitempty"` // what is wrong
}

// QueueCount is how many recipients wait in a state, since when.
type QueueCount struct {
	State  string    `json:"state"`
	Count  int64     `json:"count"`
	Oldest time.Time `json:"oldest"`
}

func (s *Server) healthCommands() {
	answer(s, "health", s.health)
}

// Health asks how the server is.
func (c *Client) Health(ctx context.Context) (Health, error) {
	return ask[None, Health](ctx, c, "health", None{})
}

func (s *Server) health(ctx context.Context, by caller, _ None) (Health, error) {
	h := Health{OK: true, Version: s.Version, Host: s.Host, Sessions: len(s.Directory.Sessions()), Queue: []QueueCount{}}
	h.check("disk", s.Store.Room())
	h.check("log", s.beating(ctx))
	h.check("certificate", s.certified())
	counts, err := s.Queue.Counts(ctx, by.org)
	h.check("queue", err)
	for _, c := range counts {
		h.Queue = append(h.Queue, QueueCount{State: c.State.String(), Count: c.Count, Oldest: c.Oldest})
	}
	return h, nil
}

func (h *Health) check(name string, err error) {
	c := Check{Name: name, OK: err == nil}
	if err != nil {
		c.Text = refusal(err).Message
		h.OK = false
	}
	h.Checks = append(h.Checks, c)
}

// certified reports whether others accept the certificate of this server's name.
func (s *Server) certified() error {
	if err := s.Certificates.Check(); err != nil && s.Host != "" { // without a name nobody certifies
		return &Error{Code: Failed, Message: err.Error()}
	}
	return nil
}

// beating reports whether the log is written to: heartbeats come each minute.
func (s *Server) beating(ctx context.Context) error {
	last, err := s.Store.Events(ctx, storage.EventQuery{Newest: true, Limit: 1})
	if err != nil {
		return err
	}
	if len(last) == 0 {
		return &Error{Code: Failed, Message: "the audit log is empty"}
	}
	if silent := s.Now().Sub(last[0].Time); silent > 3*storage.HeartbeatEvery {
		return &Error{Code: Failed, Message: fmt.Sprintf("the audit log had no event for %s", silent.Round(time.Second))}
	}
	return nil
}
