package servertest

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/rogpeppe/go-internal/testscript"

	"postern/storage"
	"postern/storage/audit"
)

// events HOST FILE
func (s *script) events(ts *testscript.TestScript, args []string) error {
	h := s.find(ts, args[0])
	wanted, err := parseWanted(ts.ReadFile(args[1]))
	if err != nil {
		return err
	}
	from := h.seen
	// Sessions end, and the queue works, beside the script: what is on its way
	// is waited for.
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		h.seen = from
		events, err := h.news(s.ctx)
		if err != nil {
			return err
		}
		missing, more := compare(wanted, h.facts(events))
		if len(missing) == 0 && len(more) == 0 {
			return nil
		}
		if time.Now().After(end) || len(missing) == 0 {
			return fmt.Errorf("missing:\n%s\nmore than expected:\n%s", join(missing), join(more))
		}
	}
}

// wantedEvent is a line of a script's file: words that an event must have.
type wantedEvent struct {
	verb, outcome string
	fields        []string // "key=value"
}

func (w wantedEvent) String() string {
	return strings.Join(append([]string{w.verb, w.outcome}, w.fields...), " ")
}

func parseWanted(text string) (all []wantedEvent, err error) {
	for _, l := range strings.Split(text, "\n") {
		words := strings.Fields(l)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words) == 1 {
			return nil, fmt.Errorf("%q has no outcome", l)
		}
		if _, ok := audit.ParseVerb(words[0]); !ok {
			return nil, fmt.Errorf("there is no verb %q", words[0])
		}
		all = append(all, wantedEvent{words[0], words[1], words[2:]})
	}
	// Those that ask for most choose first.
	slices.SortStableFunc(all, func(a, b wantedEvent) int { return len(b.fields) - len(a.fields) })
	return all, nil
}

// compare pairs what is wanted with what happened.
func compare(wanted []wantedEvent, happened []wantedEvent) (missing, more []wantedEvent) {
	left := slices.Clone(happened)
	named := map[string]bool{}
	for _, w := range wanted {
		named[w.verb] = true
		i := slices.IndexFunc(left, w.fits)
		if i < 0 {
			missing = append(missing, w)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	for _, l := range left {
		// They follow the clock and not the script.
		if (l.verb == "server.heartbeat" || l.verb == "clock.step") && !named[l.verb] || l.ofMachine() {
			continue
		}
		more = append(more, l)
	}
	return missing, more
}

// ofMachine reports whether an event tells of the disk of this machine.
func (w wantedEvent) ofMachine() bool {
	return strings.HasPrefix(w.verb, "alert.") && slices.Contains(w.fields, "kind=disk-low")
}

func (w wantedEvent) fits(e wantedEvent) bool {
	if w.verb != e.verb || w.outcome != e.outcome {
		return false
	}
	for _, f := range w.fields {
		if !slices.ContainsFunc(e.fields, func(have string) bool { return matches(f, have) }) {
			return false
		}
	}
	return true
}

func join(all []wantedEvent) string {
	var b strings.Builder
	for _, w := range all {
		fmt.Fprintf(&b, "\t%s\n", w)
	}
	return b.String()
}

// news are the events since the last look.
func (h *host) news(ctx context.Context) (all []audit.Event, err error) {
	for {
		events, err := h.Server().Store().Events(ctx, storage.EventQuery{From: h.seen})
		if err != nil || len(events) == 0 {
			return all, err
		}
		all = append(all, events...)
		h.seen = events[len(events)-1].Seq + 1
	}
}

// facts writes events in the words of scripts.
func (h *host) facts(events []audit.Event) []wantedEvent {
	names := map[uuid.UUID]string{}
	for _, a := range h.Agents {
		names[a.Agent.ID], names[a.Inbox.ID] = a.Name, a.Address
	}
	var all []wantedEvent
	for i := range events {
		e := &events[i]
		w := wantedEvent{verb: e.Verb.String(), outcome: e.Outcome.String(), fields: []string{"actor=" + e.Actor.Kind.String()}}
		if e.Agent != uuid.Nil {
			w.fields = append(w.fields, "agent="+names[e.Agent])
		}
		if e.Inbox != uuid.Nil {
			w.fields = append(w.fields, "inbox="+names[e.Inbox])
		}
		for _, f := range slices.Concat(e.Fields, e.Personal) {
			w.fields = append(w.fields, f.Key.String()+"="+value(f.Value))
		}
		all = append(all, w)
	}
	return all
}

func value(v any) string {
	if b, ok := v.([]byte); ok {
		return hex.EncodeToString(b)
	}
	return strings.ReplaceAll(fmt.Sprint(v), " ", "_")
}

// until HOST VERB [N]
func (s *script) until(ts *testscript.TestScript, args []string) (err error) {
	verb, ok := audit.ParseVerb(args[1])
	if !ok {
		return fmt.Errorf("there is no verb %q", args[1])
	}
	want := 1
	if len(args) == 3 {
		if want, err = strconv.Atoi(args[2]); err != nil {
			return err
		}
	}
	h, have := s.find(ts, args[0]), 0
	for end := time.Now().Add(3 * patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		events, err := h.Server().Store().Events(s.ctx, storage.EventQuery{Verbs: []audit.Verb{verb}})
		if have = len(events); err != nil || have >= want {
			return err
		}
	}
	return fmt.Errorf("%s has %d events %s, not %d", args[0], have, verb, want)
}
