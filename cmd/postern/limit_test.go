package main_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestAV1_KillUnderLoad kills the server at random moments while eight sessions of an
// agent send as fast as they can: when the limit of an hour is reached at last, it was
// sent exactly as often as the limit says, what no answer came for included.
func TestAV1_KillUnderLoad(t *testing.T) {
	const limit = 60 // of an agent for which nothing is set
	bin := binary(t, "")
	dir := filepath.Join(t.TempDir(), "dev")
	for round := range 4 {
		d := startDev(t, bin, dir)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() { untilRefused(t, d, fmt.Sprintf("%d-%d", round, i)) })
		}
		if round < 3 {
			time.Sleep(time.Duration(5+rand.IntN(30)) * time.Millisecond)
			d.kill()
			all.Wait()
			continue
		}
		all.Wait()
		c := d.imap(0)
		if n := len(d.bodies(c, "Sent")); n != limit {
			t.Errorf("%d messages were sent, want %d", n, limit)
		}
		c.Logout().Wait()
		d.stop()
	}
	verifyData(t, bin, dir)
}

// untilRefused sends until the server says no, or is gone.
func untilRefused(t *testing.T, d *dev, name string) {
	c, err := d.dialSMTP(0)
	if err != nil {
		return
	}
	defer c.Close()
	from, to := d.Agents[0].Inbox, d.Agents[1].Inbox
	for n := 0; ; n++ {
		subject := fmt.Sprintf("%s-%d", name, n)
		message := fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\n\r\n%s\r\n", from, to, subject, subject)
		if err := send(c, from, to, []byte(message)); err != nil {
			if text := err.Error(); text[0] >= '4' && text[0] <= '5' && !strings.HasPrefix(text, "451 \"4.7.1 too many messages") && !strings.HasPrefix(text, "421 ") {
				t.Errorf("not the reply of a limit: %v", err)
			}
			return
		}
	}
}
