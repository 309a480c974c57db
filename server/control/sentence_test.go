package control

import (
	"strings"
	"testing"

	"postern/storage/audit"
)

// TestEveryVerbHasASentence: what a person reads of an event is no word for programs.
func TestEveryVerbHasASentence(t *testing.T) {
	for _, v := range audit.Verbs() {
		template := sentences[v.String()]
		if template == "" {
			t.Errorf("%s has no sentence", v)
			continue
		}
		e := Event{Verb: v.String(), Outcome: "ok", Actor: Actor{Kind: "system"}}
		for _, outcome := range []string{"ok", "failed", "refused"} {
			e.Outcome = outcome
			if text := e.Sentence(nil); strings.ContainsAny(text, "{}[]|") || !strings.HasSuffix(text, ".") {
				t.Errorf("%s: %q", v, text)
			}
		}
	}
	for name := range sentences {
		if _, known := audit.ParseVerb(name); !known {
			t.Errorf("%s is no verb", name)
		}
	}
}

func TestSentence(t *testing.T) {
	e := Event{Verb: "credential.revoke", Outcome: "ok", Agent: "id-of-the-agent-1", Credential: "id-of-credential", Actor: Actor{Kind: "person", Name: "ann@x.test"},
		Fields: map[string]any{"count": "2", "millis": "12"}, Personal: map[string]any{"note": "leaked"}}
	names := map[string]string{"id-of-the-agent-1": "scout", "id-of-credential": "7Gq2mXw4"}
	if got, want := e.Sentence(names), "ann@x.test revoked credential 7Gq2mXw4 of scout: leaked, 2 sessions ended after 12 ms."; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	e.Fields, e.Personal = nil, nil
	if got, want := e.Sentence(names), "ann@x.test revoked credential 7Gq2mXw4 of scout."; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
