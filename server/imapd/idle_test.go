package imapd

import (
	"fmt"
	"strings"
	"testing"
)

// TestIdleTellsWhileItLasts: in IDLE mail is told of as it comes, however often IDLE ends and begins while it does; and
// nothing is told between DONE and the next command but what that command would tell.
func TestIdleTellsWhileItLasts(t *testing.T) {
	const messages = 60
	h := newHome(t, nil)
	c := h.login(t, "scout")
	c.ok("SELECT INBOX")
	c.write("i IDLE\r\n")
	if got := c.line(); !strings.HasPrefix(got, "+") {
		t.Fatal(got)
	}
	h.fill(t, 1, 200)
	if got := c.line(); got != "* 1 EXISTS" { // by itself
		t.Fatal(got)
	}
	delivered := make(chan struct{})
	go func() {
		defer close(delivered)
		for range messages - 1 {
			h.fill(t, 1, 200)
		}
	}()
	known := 1
	hear := func(line string) {
		t.Helper()
		var n int
		if _, err := fmt.Sscanf(line, "* %d EXISTS", &n); err != nil || n <= known {
			t.Fatalf("%q after %d messages", line, known)
		}
		known = n
	}
	for known < messages {
		hear(c.line())
		c.write("DONE\r\nn NOOP\r\ni IDLE\r\n")
		for line := c.line(); !strings.HasPrefix(line, "+"); line = c.line() {
			if !strings.HasPrefix(line, "i OK") && !strings.HasPrefix(line, "n OK") {
				hear(line)
			}
		}
	}
	<-delivered
	c.write("DONE\r\n")
	if got := c.line(); !strings.HasPrefix(got, "i OK") {
		t.Error(got)
	}
	h.fill(t, 1, 200)
	if untagged := c.ok("NOOP"); len(untagged) != 1 || untagged[0] != fmt.Sprintf("* %d EXISTS", messages+1) {
		t.Errorf("%q", untagged)
	}
}
