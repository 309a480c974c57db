package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"postern/server/control"
	"postern/server/message"
)

// logged is an event with the names that are known so far. Its JSON is the
// event's alone, in the log's rendering.
type logged struct {
	control.Event
	names map[string]string
}

// told are the cells of an event as a sentence.
func (e logged) told() []string {
	return []string{decimal(int64(e.Seq)), instant(e.Time), e.Verb, e.Outcome, e.Sentence(e.names)}
}

// facts are the cells of an event with all that it says.
func (e logged) facts() []string {
	return []string{decimal(int64(e.Seq)), instant(e.Time), e.Verb, e.Outcome, e.who(), e.about(), shorten(e.detail(), 120)}
}

// who is the actor, as people call it.
func (e logged) who() string {
	a := e.Actor
	switch a.Kind {
	case "agent":
		return "agent " + e.name(a.ID)
	case "stranger":
		return strings.TrimSpace("stranger " + a.Network)
	case "system":
		return "system"
	}
	return strings.TrimSpace(a.Kind + " " + a.Name)
}

// about is whom or what the event concerns.
func (e logged) about() string {
	switch {
	case e.Inbox != "":
		return e.name(e.Inbox)
	case e.Agent != "":
		return e.name(e.Agent)
	}
	return "-"
}

// name is what people call an id: its end, when nothing is called so any more.
func (e logged) name(id string) string {
	if name := e.names[id]; name != "" {
		return name
	}
	if n := len(id); n > 12 {
		return "…" + id[n-12:]
	}
	return orDash(id)
}

// first are the facts that stand first in a detail; the others follow by name.
var first = []string{"from", "to", "address", "name", "domain", "message_id", "subject", "rule", "code", "enhanced", "state", "door", "tls", "verdict"}

// left out of a detail: what other columns or the page say, and what only
// programs use.
var leftOut = []string{"modseq", "trace", "before", "after", "outgoing"}

// detail is the facts of an event on one line.
func (e logged) detail(without ...string) string {
	facts := map[string]any{}
	for _, fields := range []map[string]any{e.Fields, e.Personal} {
		maps.Copy(facts, fields)
	}
	if subject, ok := facts["subject"].(string); ok {
		facts["subject"] = message.DecodeWords(subject)
	}
	rank := func(key string) int {
		if i := slices.Index(first, key); i >= 0 {
			return i
		}
		return len(first)
	}
	var keys []string
	for k := range facts {
		if !slices.Contains(leftOut, k) && !slices.Contains(without, k) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b string) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for i, k := range keys {
		keys[i] = k + "=" + fact(facts[k])
	}
	return strings.Join(keys, " ")
}

// fact is a value of an event; digests and ids are cut.
func fact(v any) string {
	switch v := v.(type) {
	case []any:
		var all []string
		for _, x := range v {
			all = append(all, fact(x))
		}
		return strings.Join(all, ",")
	case json.Number:
		return v.String()
	case string:
		if len(v) == 64 && strings.Trim(v, "0123456789abcdef") == "" {
			return v[:12] + "…"
		}
		if strings.ContainsAny(v, " \"") {
			return fmt.Sprintf("%q", v)
		}
		return v
	}
	return fmt.Sprint(v)
}
