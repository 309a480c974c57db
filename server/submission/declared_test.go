package submission

import (
	"slices"
	"strings"
	"testing"
)

// TestAU3_Declared reads what agents write, and what they should not.
func TestAU3_Declared(t *testing.T) {
	for _, c := range []struct {
		header string
		want   declaration // but for written
	}{
		{"Agent-Trigger: type=message; ref=\"<id@x>\"\r\nAgent-Content: origin=generated; model=\"m-5\"\r\nAgent-Run: 17\r\nAgent-Sources: <a@x>,\r\n <b@y>\r\n",
			declaration{trigger: "message", ref: "<id@x>", origin: "generated", madeWith: "m-5", run: "17", sources: []string{"<a@x>", "<b@y>"}}},
		{"agent-trigger: type=message, ref=\"id@x\"\r\n", declaration{trigger: "message", ref: "<id@x>"}},
		{"Agent-Trigger: type=schedule\r\nAgent-Content: origin=templated; template=\"t_7\"\r\n", declaration{trigger: "schedule", origin: "templated", madeWith: "t_7"}},
		{"Agent-Trigger: type=user; ref=\"u_42\"; level=3\r\n", declaration{trigger: "user", ref: "u_42"}},
		{"Agent-Trigger: type=moon\r\n", declaration{remarks: []string{"malformed-trigger"}}},
		{"Agent-Trigger: because\r\nAgent-Content: generated\r\n", declaration{remarks: []string{"malformed-trigger", "malformed-content"}}},
		{"Agent-Trigger: type=user\r\nAgent-Trigger: type=event\r\n", declaration{remarks: []string{"malformed-trigger"}}},
		{"Agent-Run: " + strings.Repeat("é", 64) + "\r\n", declaration{run: strings.Repeat("é", 64)}},
		{"Agent-Run: " + strings.Repeat("x", 65) + "\r\n", declaration{remarks: []string{"malformed-run"}}},
		{"Agent-Run: a\x1b[2J\r\n", declaration{remarks: []string{"malformed-run"}}},
		{"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n", declaration{run: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}},
		{"Agent-Run: 17\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n", declaration{run: "17"}},
		{"Traceparent: 00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01\r\n", declaration{}},
		{"Agent-Sources: <a@x>\r\nAgent-Sources: nothing\r\n", declaration{sources: []string{"<a@x>"}, remarks: []string{"malformed-sources"}}},
		{"X-Agent-Trigger: type=user\r\n", declaration{}},
	} {
		got := declared([]byte(c.header + "\r\n"))
		if got.trigger != c.want.trigger || got.ref != c.want.ref || got.origin != c.want.origin || got.madeWith != c.want.madeWith ||
			got.run != c.want.run || !slices.Equal(got.sources, c.want.sources) || !slices.Equal(got.remarks, c.want.remarks) {
			t.Errorf("%q:\n got %+v\nwant %+v", c.header, got, c.want)
		}
		if n := strings.Count(c.header, "\r\n") - strings.Count(c.header, "\r\n "); len(got.written) != n && c.want.trigger+c.want.origin != "" {
			t.Errorf("%q: %d fields are kept as written", c.header, len(got.written))
		}
	}
}

// FuzzDeclared holds that no header breaks the reading of it, and that what is
// recorded fits an event.
func FuzzDeclared(f *testing.F) {
	f.Add([]byte("Agent-Trigger: type=message; ref=\"<id@x>\"\r\nAgent-Run: 1\r\n\r\n"))
	f.Add([]byte("traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\nAgent-\x00Sources: <a@x"))
	f.Fuzz(func(t *testing.T, header []byte) {
		d := declared(header)
		clear, personal := d.fields("<in@reply>")
		if len(clear) > 8 || len(personal) > maxDeclared+64 {
			t.Errorf("%d clear and %d personal fields", len(clear), len(personal))
		}
		for _, field := range clear {
			if s, ok := field.Value.(string); !ok || s == "" || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-") != "" {
				t.Errorf("clear field %v", field)
			}
		}
	})
}
