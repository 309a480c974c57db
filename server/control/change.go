package control

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"postern/server/setup"
	"postern/storage"
)

// Change is a check of the health that stands otherwise than a day ago.
type Change struct {
	Section string             `json:"section"`
	Name    string             `json:"name"`
	Was     setup.FindingState `json:"was,omitempty"` // empty: there was no such check
	Is      setup.FindingState `json:"is,omitempty"`  // empty: there is none any more
	Better  bool               `json:"better"`
	At      time.Time          `json:"at"`             // when it came to what it is
	Text    string             `json:"text,omitempty"` // the sentence of the check, as it stands now
}

const (
	// changesSince is how far back changes are told.
	changesSince = 24 * time.Hour
	// changesKept is how long what a check came to is kept, beyond the last of it.
	changesKept = 2 * changesSince
	// maxChecks and maxStates bound what is kept: checks, and what each came to.
	maxChecks, maxStates = 1000, 12
)

// Changes tells which checks stand otherwise than a day ago, the worse ones first.
func (c *Client) Changes(ctx context.Context) ([]Change, error) {
	return ask[None, []Change](ctx, c, "doctor.changes", None{})
}

func (s *Server) doctorChanges(ctx context.Context, by caller, _ None) ([]Change, error) {
	facts, _, _, err := s.facts(ctx, by)
	if err != nil {
		return nil, err
	}
	if err := s.remember(ctx, by.org, facts); err != nil {
		return nil, err
	}
	h, err := s.Store.Health(ctx, by.org)
	if err != nil {
		return nil, err
	}
	return changes(&h, facts, s.Now()), nil
}

// remember writes down what stands otherwise than when somebody looked last. It writes
// nothing where nothing changed.
func (s *Server) remember(ctx context.Context, org uuid.UUID, facts []Fact) error {
	h, err := s.Store.Health(ctx, org)
	if err != nil {
		return err
	}
	if !noted(&h, facts, s.Now()) {
		return nil
	}
	return s.Store.Upkeep(ctx, func(u *storage.Upkeep) error { return u.PutHealth(org, &h) })
}

// noted adds to a record what facts say now, and reports whether that is news. What is
// not known is no state. A step of the set-up and a door that is shut are checks only
// while they are wrong: when they are gone, they are in order.
func noted(h *storage.Health, facts []Fact, now time.Time) (news bool) {
	if h.Checks == nil {
		h.Checks = map[string][]storage.HealthState{}
	}
	at := now.UTC().Truncate(time.Second)
	here := map[string]bool{}
	add := func(key, state string) {
		was := h.Checks[key]
		if len(was) == 0 && len(h.Checks) >= maxChecks || len(was) > 0 && was[len(was)-1].State == state {
			return
		}
		news = true
		was = append(was, storage.HealthState{State: state, At: at})
		for len(was) > maxStates || len(was) > 1 && now.Sub(was[1].At) > changesKept {
			was = was[1:]
		}
		h.Checks[key] = was
	}
	for i := range facts {
		key := facts[i].key()
		here[key] = true
		if facts[i].State != setup.Unknown {
			add(key, string(facts[i].State))
		}
	}
	for key, was := range h.Checks {
		switch last := was[len(was)-1]; {
		case here[key]:
		case passing(key):
			add(key, "")
			if now.Sub(last.At) > changesKept && last.State == "" {
				delete(h.Checks, key)
				news = true
			}
		case now.Sub(last.At) > changesKept: // a domain that was removed
			delete(h.Checks, key)
			news = true
		}
	}
	return news
}

func (f *Fact) key() string { return f.Section + "\n" + f.Name }

// passing reports whether a check is one that is there only while something is wrong.
func passing(key string) bool {
	return strings.HasPrefix(key, "set-up\n") || strings.HasPrefix(key, "network\nDoor ")
}

// worse ranks states; nothing is as good as in order.
var worse = map[setup.FindingState]int{"": 0, setup.Good: 0, setup.Warn: 1, setup.Bad: 2}

// changes compares what a record says now with what it said a day ago. Where it is
// younger than that, with its beginning.
func changes(h *storage.Health, facts []Fact, now time.Time) []Change {
	begin := now
	for _, was := range h.Checks {
		if was[0].At.Before(begin) {
			begin = was[0].At
		}
	}
	then := now.Add(-changesSince)
	if then.Before(begin) {
		then = begin
	}
	texts := map[string]string{}
	for i := range facts {
		texts[facts[i].key()] = facts[i].Text
	}
	all := []Change{}
	for _, key := range slices.Sorted(maps.Keys(h.Checks)) {
		was, last := setup.FindingState(""), h.Checks[key][len(h.Checks[key])-1]
		for _, state := range h.Checks[key] {
			if !state.At.After(then) {
				was = setup.FindingState(state.State)
			}
		}
		is := setup.FindingState(last.State)
		if worse[was] == worse[is] {
			continue
		}
		section, name, _ := strings.Cut(key, "\n")
		all = append(all, Change{Section: section, Name: name, Was: was, Is: is, Better: worse[is] < worse[was], At: last.At, Text: texts[key]})
	}
	slices.SortStableFunc(all, func(a, b Change) int {
		switch {
		case a.Better != b.Better && b.Better:
			return -1
		case a.Better != b.Better:
			return 1
		}
		return b.At.Compare(a.At)
	})
	return all
}
