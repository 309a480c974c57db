package main_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// TestStockClientsAgree: isync, offlineimap, imaplib and curl change one inbox at
// the same time while mail arrives. When all are done, they and a session that
// was open throughout say the same of it: which UIDs, and which flags.
func TestStockClientsAgree(t *testing.T) {
	d := startDev(t, binary(t, ""), filepath.Join(t.TempDir(), "dev"))
	needs(t, "curl")
	a := d.account("shared@dev.test")
	c := d.open(a)
	for range 6 {
		d.fill(a, "plain", "dots", "utf-8", "attachment")
	}
	before := uids(d.read(c, "INBOX"))
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	mbsync, offlineimap := d.mbsync(a), d.offlineimap(a)
	mbsync.sync()
	offlineimap.sync()

	var all sync.WaitGroup
	for i, change := range []func(mine []imap.UID){
		mbsync.work, offlineimap.work,
		func(mine []imap.UID) { imaplibFlags(t, d, a, mine) },
		func(mine []imap.UID) {
			for _, uid := range mine {
				d.curl(a, "/INBOX", "-X", fmt.Sprintf(`UID STORE %d FLAGS (\Seen \Draft)`, uid))
			}
		},
		func([]imap.UID) {
			for range 4 {
				d.fill(a, "plain", "spaces")
			}
		},
	} {
		mine := before[i*4 : i*4+4]
		all.Go(func() { change(mine) })
	}
	all.Wait()
	// Each brings its own changes and fetches those of others, and isync may have
	// looked before offlineimap was done.
	for range 2 {
		mbsync.sync()
		offlineimap.sync()
	}

	want := flagsOf(d.mailbox(a, "INBOX"))
	if len(want) != len(before)-2+8 {
		t.Errorf("%d messages; there were %d, two were deleted and eight came", len(want), len(before))
	}
	for name, got := range map[string]map[imap.UID]string{
		"mbsync": mbsync.flags(), "offlineimap": offlineimap.flags(), "imaplib": imaplibFlags(t, d, a, nil),
		"curl":             curlFlags(d.curl(a, "/INBOX", "-X", "FETCH 1:* (UID FLAGS)", "-v")),
		"the open session": openFlags(t, c),
	} {
		if !maps.Equal(got, want) {
			t.Errorf("%s says\n%v and a new session\n%v", name, got, want)
		}
	}
}

// flagsOf leaves out everything else.
func flagsOf(mailbox map[imap.UID]stored) map[imap.UID]string {
	found := map[imap.UID]string{}
	for uid, m := range mailbox {
		found[uid] = m.flags
	}
	return found
}

// work flags two messages of a replica, deletes one, and brings that to the
// server.
func (r *replica) work(mine []imap.UID) {
	here := r.messages()
	r.mark(here[mine[0]], "FS")
	r.mark(here[mine[1]], "RS")
	r.mark(here[mine[2]], "ST")
	r.sync()
}

// imaplibFlags has imaplib flag some messages and say what all have then.
func imaplibFlags(t testing.TB, d *dev, a account, mine []imap.UID) map[imap.UID]string {
	t.Helper()
	job := map[string]any{"port": port(t, d.IMAPS), "ca": d.CAFile, "user": a.inbox, "token": a.token, "flag": mine}
	var answer map[imap.UID][]imap.Flag
	python(t, "flags.py", job, &answer)
	found := map[imap.UID]string{}
	for uid, flags := range answer {
		found[uid] = flagList(flags)
	}
	return found
}

var fetchLine = regexp.MustCompile(`(?m)^(?:< )?\* \d+ FETCH \((?:UID (\d+) FLAGS \(([^)]*)\)|FLAGS \(([^)]*)\) UID (\d+))\)`)

// curlFlags reads the answer to FETCH (UID FLAGS).
func curlFlags(out string) map[imap.UID]string {
	found := map[imap.UID]string{}
	for _, m := range fetchLine.FindAllStringSubmatch(out, -1) {
		n, _ := strconv.ParseUint(m[1]+m[4], 10, 32)
		var flags []imap.Flag
		for _, f := range strings.Fields(m[2] + m[3]) {
			flags = append(flags, imap.Flag(f))
		}
		found[imap.UID(n)] = flagList(flags)
	}
	return found
}

// openFlags asks a session that has had the mailbox selected throughout.
func openFlags(t testing.TB, c *imapclient.Client) map[imap.UID]string {
	t.Helper()
	if err := c.Noop().Wait(); err != nil {
		t.Fatal(err)
	}
	var all imap.SeqSet
	all.AddRange(1, c.Mailbox().NumMessages)
	msgs, err := c.Fetch(all, &imap.FetchOptions{UID: true, Flags: true}).Collect()
	if err != nil {
		t.Fatal(err)
	}
	found := map[imap.UID]string{}
	for _, m := range msgs {
		found[m.UID] = flagList(m.Flags)
	}
	return found
}
