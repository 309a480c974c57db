package message

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestParseMembers holds the two forms, with examples of RFC 9651 and the ones
// that an agent is told to write.
func TestParseMembers(t *testing.T) {
	for _, c := range []struct {
		value string
		want  []Member // nil: refused
	}{
		{`type=message; ref="<id@x>"`, []Member{{"type", "message"}, {"ref", "<id@x>"}}},
		{`type=message;ref="<id@x>"`, []Member{{"type", "message"}, {"ref", "<id@x>"}}},
		{`type=message, ref="<id@x>"`, []Member{{"type", "message"}, {"ref", "<id@x>"}}},
		{`type=event; ref="order.paid/981"`, []Member{{"type", "event"}, {"ref", "order.paid/981"}}},
		{`type=agent; ref=planner-3`, []Member{{"type", "agent"}, {"ref", "planner-3"}}},
		{"type=schedule;\t ref=\"daily-report\"", []Member{{"type", "schedule"}, {"ref", "daily-report"}}},
		{`  type="user"; ref=42 `, []Member{{"type", "user"}, {"ref", "42"}}},
		{`origin=generated; model=%"gr%c3%bc%c3%9f"`, []Member{{"origin", "generated"}, {"model", "grüß"}}},
		{`a=x;a=y`, []Member{{"a", "y"}}}, // section 3.1.2: the last one
		{`a="say \"it\" \\ "`, []Member{{"a", `say "it" \ `}}},
		{``, nil},
		{`message`, nil},              // a Boolean, as both forms read it
		{`type=message ref="x"`, nil}, // nothing between them
		{`type = message`, nil},       // no white space around =
		{`Type=message`, nil},         // keys are lower case
		{`type=message; ref="<id@x>`, nil},
		{`type=message; ref='x'`, nil},
		{`type=message; ref="é"`, nil}, // Strings are ASCII
		{`type=message; ref=1.5`, nil},
		{`type=(a b)`, nil},
		{`type=message;; ref=x`, nil},
		{`type=message,`, nil},
		{`type=message, ref=x;p=1`, nil}, // a parameter of a member
		{"type=message; ref=\"a\x00b\"", nil},
		{`ref="` + strings.Repeat("x", MaxStructuredBytes) + `"`, nil},
		{strings.Repeat("a=1;", 5) + "b=2", []Member{{"a", "1"}, {"b", "2"}}},
	} {
		got, err := ParseMembers(c.value)
		if !slices.Equal(got, c.want) || (err == nil) != (c.want != nil) || err != nil && !errors.Is(err, ErrStructured) {
			t.Errorf("%q: %q, %v; want %q", c.value, got, err, c.want)
		}
	}
	var many strings.Builder
	for i := range MaxStructuredParams + 1 {
		many.WriteString(";k" + string(rune('a'+i)) + "=1")
	}
	if _, err := ParseMembers(many.String()[1:]); err == nil {
		t.Error("more members than a value may have")
	}
}

func TestMessageIDs(t *testing.T) {
	for _, c := range []struct {
		value string
		want  []string
		whole bool
	}{
		{"<a@x>", []string{"<a@x>"}, true},
		{"<a@x>, <b@y>", []string{"<a@x>", "<b@y>"}, true},
		{"<a@x>\t<b@y> ", []string{"<a@x>", "<b@y>"}, true},
		{"", nil, true},
		{"your message <a@x> of today", []string{"<a@x>"}, false},
		{"<no-at>, <b@y>", []string{"<b@y>"}, false},
		{"<a b@x> <b@y>", []string{"<b@y>"}, false},
		{"<a@x", nil, false},
		{"a@x>", nil, false},
		{strings.Repeat("<a@x> ", MaxMessageIDs+1), slices.Repeat([]string{"<a@x>"}, MaxMessageIDs), false},
	} {
		if got, whole := MessageIDs(c.value); !slices.Equal(got, c.want) || whole != c.whole {
			t.Errorf("%.60q: %q, whole %v", c.value, got, whole)
		}
	}
}

// FuzzStructured holds that nothing which an agent writes breaks the parsers, and
// that what they return is bounded.
func FuzzStructured(f *testing.F) {
	f.Add(`type=message; ref="<id@x>"`)
	f.Add(`a=%"%c3%bc", b=?1, c=:YQ==:, d=@1, e=-0.5`)
	f.Add(`<a@x>, <b@y> <c`)
	f.Add(`a=?;b=:;c=@;d=%`)
	f.Fuzz(func(t *testing.T, value string) {
		members, err := ParseMembers(value)
		if (err == nil) != (len(members) > 0) || len(members) > MaxStructuredParams {
			t.Errorf("%d members, %v", len(members), err)
		}
		for _, m := range members {
			if len(m.Key)+len(m.Value) > MaxStructuredBytes {
				t.Errorf("member of %d bytes", len(m.Key)+len(m.Value))
			}
		}
		ids, _ := MessageIDs(value)
		for _, id := range ids {
			if !IsMessageID(id) || !strings.Contains(value, id) {
				t.Errorf("Message-ID %q", id)
			}
		}
		if len(ids) > MaxMessageIDs {
			t.Errorf("%d Message-IDs", len(ids))
		}
	})
}
