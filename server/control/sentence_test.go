package control

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"postern/server/policy"
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

// TestSentence_FirstLetter begins with the name that the agent's mail gave itself, which
// may begin with any letter.
func TestSentence_FirstLetter(t *testing.T) {
	e := Event{Verb: "message.duplicate", Outcome: "ok", Personal: map[string]any{"message_id": "été@x.test"}}
	if got := e.Sentence(nil); !strings.HasPrefix(got, "Été@x.test") {
		t.Errorf("it begins %q", got)
	}
}

// TestSentence_Golden tells the events of testdata/sentence.golden, one in a line after
// ">", with the sentence below it. Lines that begin with "#" say what a case is about.
func TestSentence_Golden(t *testing.T) {
	path := filepath.Join("testdata", "sentence.golden")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{"0198c0de-0000-7000-8000-00000000000a": "scout", "0198c0de-0000-7000-8000-0000000000c1": "7Gq2mXw4", "0198c0de-0000-7000-8000-000000000b0c": "support@example.com"}
	var got strings.Builder
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			got.WriteString(line + "\n")
		}
		event, ok := strings.CutPrefix(line, "> ")
		if !ok {
			continue
		}
		var e Event
		if err := json.Unmarshal([]byte(event), &e); err != nil {
			t.Fatalf("%s: %v", event, err)
		}
		if _, known := audit.ParseVerb(e.Verb); !known {
			t.Errorf("%s is no verb", e.Verb)
		}
		got.WriteString(line + "\n" + e.Sentence(names) + "\n\n")
	}
	if *update {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got.String() != string(text) {
		t.Errorf("%s is not what events say (write it with -update):\n%s", path, got.String())
	}
}

// TestRules_HaveWords: what people read of a rule is no word for programs.
func TestRules_HaveWords(t *testing.T) {
	for r := policy.None + 1; r <= policy.HoldRate; r++ {
		if Rules[r.String()] == "" {
			t.Errorf("rule %s has no words", r)
		}
	}
}
