package control

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"postern/storage"
)

// Health is how the server is.
type Health struct {
	OK       bool         `json:"ok"`
	Ready    bool         `json:"ready"` // mail is taken; not while the server is not set up
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

// Probe is one question about the server, for programs.
type Probe string

// The probes.
const (
	ProbeAll   Probe = ""
	ProbeLive  Probe = "live"  // it works; a start anew would not help
	ProbeReady Probe = "ready" // it takes mail
)

// HealthQuery says what is asked.
type HealthQuery struct {
	Probe Probe `json:"probe,omitempty"`
}

// Health asks how the server is.
func (c *Client) Health(ctx context.Context) (Health, error) { return c.ProbeHealth(ctx, ProbeAll) }

// ProbeHealth asks one thing about the server: the answer has one check of that name.
func (c *Client) ProbeHealth(ctx context.Context, p Probe) (Health, error) {
	return ask[HealthQuery, Health](ctx, c, "health", HealthQuery{p})
}

func (s *Server) health(ctx context.Context, by caller, q HealthQuery) (Health, error) {
	h := Health{OK: true, Version: s.Version, Host: s.Host, Sessions: len(s.Directory.Sessions()), Queue: []QueueCount{}}
	switch q.Probe {
	case ProbeAll:
	case ProbeLive:
		h.check("live", s.Alive(ctx))
		return h, nil
	case ProbeReady:
		err := s.Takes(ctx)
		h.Ready = err == nil
		h.check("ready", plainly(err))
		return h, nil
	default:
		return h, invalid("%q is no probe: live or ready", q.Probe)
	}
	takes := s.Takes(ctx)
	h.Ready = takes == nil
	if !errors.Is(takes, storage.ErrUnavailable) { // another reason is no fault, or is said below
		takes = nil
	}
	h.check("disk", s.Store.Room())
	h.check("writes", plainly(takes))
	h.check("doors", s.open())
	h.check("log", s.beating(ctx))
	h.check("certificate", s.certified())
	counts, err := s.Queue.Counts(ctx, by.org)
	h.check("queue", err)
	for _, c := range counts {
		h.Queue = append(h.Queue, QueueCount{State: c.State.String(), Count: c.Count, Oldest: c.Oldest})
	}
	return h, nil
}

// plainly is an error whose own words are told: they name no secret, and who asks is at
// the server's own socket.
func plainly(err error) error {
	if err == nil {
		return nil
	}
	return &Error{Code: Failed, Message: err.Error()}
}

// open reports whether every door for mail is open that should be.
func (s *Server) open() error {
	for _, d := range s.Shut {
		if slices.Contains(mailDoors, d[0]) {
			return &Error{Code: Failed, Message: fmt.Sprintf("the door %s could not be opened: postern doctor", d[0])}
		}
	}
	return nil
}

// mailDoors are the doors without which mail does not come, go, or get read. Others that
// are shut are facts for people.
var mailDoors = []string{"smtp", "submission", "submissions", "imaps"}

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
