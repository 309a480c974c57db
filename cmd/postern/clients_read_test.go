package main_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
)

// TestStockClientsRead: curl, Python's imaplib, mutt, mbsync, offlineimap and
// fetchmail read, flag, move, append and expunge over port 993, and what they
// read is what was sent.
func TestStockClientsRead(t *testing.T) {
	d := startDev(t, binary(t, ""), filepath.Join(t.TempDir(), "dev"))
	for _, client := range []struct {
		name string
		read func(*testing.T, *dev)
	}{
		{"curl", curlReads}, {"imaplib", imaplibReads}, {"mutt", muttReads},
		{"mbsync", mbsyncReads}, {"offlineimap", offlineimapReads}, {"fetchmail", fetchmailReads},
	} {
		t.Run(client.name, func(t *testing.T) { client.read(t, d.in(t)) })
	}
}

// uids of a mailbox, smallest first.
func uids(mailbox map[imap.UID]stored) []imap.UID {
	return slices.Sorted(maps.Keys(mailbox))
}

// curl runs curl on a path of an account's mail.
func (d *dev) curl(a account, path string, more ...string) string {
	d.t.Helper()
	args := append([]string{"--no-progress-meter", "--cacert", d.CAFile, "--user", a.inbox + ":" + a.token}, more...)
	return mustTool(d.t, nil, needs(d.t, "curl"), append(args, "imaps://localhost:"+port(d.t, d.IMAPS)+path)...)
}

func curlReads(t *testing.T, d *dev) {
	needs(t, "curl")
	a := d.account("curl@dev.test")
	sent := d.fill(a)
	if list := d.curl(a, "/"); !strings.Contains(list, "INBOX") || !strings.Contains(list, `\Drafts`) {
		t.Errorf("LIST:\n%s", list)
	}
	for _, login := range []string{"PLAIN", "LOGIN"} {
		d.curl(a, "/INBOX?ALL", "--login-options", "AUTH="+login)
	}
	inbox := d.mailbox(a, "INBOX")
	checkAll(t, sent, inbox)
	for uid, m := range inbox {
		if got := d.curl(a, fmt.Sprintf("/INBOX;UID=%d", uid)); got != string(m.view) {
			t.Errorf("UID %d: curl has %d octets of %d", uid, len(got), len(m.view))
		}
	}
	last := uids(inbox)[len(inbox)-1]
	if got := strings.Fields(d.curl(a, "/INBOX", "-X", `UID SEARCH SUBJECT "five megabytes"`)); !slices.Equal(got, []string{"*", "SEARCH", fmt.Sprint(last)}) {
		t.Errorf("SEARCH: %q", got)
	}
	curlChanges(t, d, a, last)
}

// curlChanges appends, flags, copies and expunges.
func curlChanges(t *testing.T, d *dev, a account, uid imap.UID) {
	drafts := letters(a.inbox, "you@elsewhere.test")
	for _, l := range drafts {
		d.curl(a, "/Drafts", "--upload-file", file(t, "letter", l.data))
	}
	// What is appended has a header block of ours in front as well: it was judged.
	checkAll(t, drafts, d.mailbox(a, "Drafts"))
	d.curl(a, "/INBOX", "-X", fmt.Sprintf(`UID STORE %d +FLAGS (\Flagged $Later)`, uid))
	if got := d.mailbox(a, "INBOX")[uid].flags; got != `$Later \Flagged \Seen` {
		t.Errorf("flags after STORE: %s", got)
	}
	before := d.mailbox(a, "INBOX")[uid].view
	d.curl(a, "/INBOX", "-X", fmt.Sprintf(`UID COPY %d Archive`, uid))
	d.curl(a, "/INBOX", "-X", fmt.Sprintf(`UID MOVE %d Trash`, uid))
	for _, name := range []string{"Archive", "Trash"} {
		for _, m := range d.mailbox(a, name) {
			if !bytes.Equal(m.view, before) || m.flags != `$Later \Flagged \Seen` {
				t.Errorf("%s shows another message than INBOX did, or other flags (%s)", name, m.flags)
			}
		}
	}
	d.curl(a, "/Trash", "-X", `STORE 1 +FLAGS.SILENT (\Deleted)`)
	d.curl(a, "/Trash", "-X", "EXPUNGE")
	if n := len(d.mailbox(a, "INBOX")); n != 7 || len(d.mailbox(a, "Archive")) != 1 || len(d.mailbox(a, "Trash")) != 0 {
		t.Errorf("%d messages in INBOX, and not one in Archive and none in Trash", n)
	}
}

// imapJob is what testdata/imap.py reads.
type imapJob struct {
	Port     string   `json:"port"`
	SMTP     string   `json:"smtp"`
	CA       string   `json:"ca"`
	User     string   `json:"user"`
	Token    string   `json:"token"`
	Dir      string   `json:"dir"`    // gets the messages of INBOX, by UID
	Append   []string `json:"append"` // files
	Messages int      `json:"messages"`
}

func imaplibReads(t *testing.T, d *dev) {
	a := d.account("imaplib@dev.test")
	sent := d.fill(a)
	drafts := letters(a.inbox, "you@elsewhere.test")
	job := imapJob{Port: port(t, d.IMAPS), SMTP: port(t, d.SMTP), CA: d.CAFile, User: a.inbox, Token: a.token, Dir: t.TempDir(), Messages: len(sent)}
	for _, l := range drafts {
		job.Append = append(job.Append, file(t, "letter", l.data))
	}
	inbox := d.mailbox(a, "INBOX")
	python(t, "imap.py", job, nil)
	for uid, m := range inbox {
		got, err := os.ReadFile(filepath.Join(job.Dir, fmt.Sprint(uid)))
		if err != nil || !bytes.Equal(got, m.view) {
			t.Errorf("UID %d: imaplib has %d octets of %d (%v)", uid, len(got), len(m.view), err)
		}
	}
	checkAll(t, drafts, d.mailbox(a, "Drafts"))
	// The script has moved the first and expunged the second, and one came while
	// it idled.
	after, all := d.mailbox(a, "INBOX"), uids(inbox)
	if len(after) != len(inbox)-1 || after[all[0]].view != nil || after[all[1]].view != nil {
		t.Errorf("INBOX has %v, and had %v", uids(after), all)
	}
	archive := d.mailbox(a, "Archive")
	if len(archive) != 1 || !bytes.Equal(archive[uids(archive)[0]].view, inbox[all[0]].view) {
		t.Errorf("Archive has %d messages, or another one", len(archive))
	}
	if got := after[all[2]].flags; got != `$Work \Answered \Flagged \Seen` {
		t.Errorf("flags after STORE: %s", got)
	}
}

// muttReads has mutt read, copy, flag and delete, by the keys that a person
// would press.
func muttReads(t *testing.T, d *dev) {
	bin, script := needs(t, "mutt"), needs(t, "script")
	a := d.account("mutt@dev.test")
	sent := d.fill(a)
	box := filepath.Join(t.TempDir(), "saved")
	config := file(t, "muttrc", fmt.Appendf(nil, `
set folder = "imaps://localhost:%[1]s/" imap_user = "%[2]s" imap_pass = "%[3]s"
set ssl_ca_certificates_file = "%[4]s" ssl_usesystemcerts = no ssl_force_tls = yes
set ssl_verify_host = yes ssl_verify_dates = yes
set delete = yes move = no confirmappend = no confirmcreate = no wait_key = no
set mbox_type = mbox sort = mailbox-order imap_keepalive = 0 mail_check = 1
set abort_key = "\Cx" quit = yes beep = no save_empty = no trash = ""
`, port(t, d.IMAPS), a.inbox, a.token, d.CAFile))
	// Everything into a file; the first flagged; the second deleted; and leave.
	keys := `<tag-pattern>~A<enter><tag-prefix><copy-message>` + box + `<enter><untag-pattern>~A<enter>` +
		`1<enter><flag-message>2<enter><delete-message><sync-mailbox>` +
		`1<enter><copy-message>=Archive<enter><quit>`
	command := fmt.Sprintf("%s -n -F %s -f imaps://localhost:%s/INBOX -e 'push %q'", bin, config, port(t, d.IMAPS), keys)
	before := d.mailbox(a, "INBOX")
	// mutt wants a terminal; script gives it one.
	out := mustTool(t, nil, script, "--quiet", "--return", "--command", command, "/dev/null")
	after, all := d.mailbox(a, "INBOX"), uids(before)
	if len(after) != len(before)-1 || after[all[1]].view != nil {
		t.Errorf("INBOX has %v, and had %v\n%s", uids(after), all, ending(out))
	}
	if got := after[all[0]].flags; !strings.Contains(got, `\Flagged`) {
		t.Errorf("flags of the first: %q", got)
	}
	archive := d.mailbox(a, "Archive")
	if len(archive) != 1 || !bytes.Equal(archive[uids(archive)[0]].view, before[all[0]].view) {
		t.Errorf("Archive has %d messages, or another one", len(archive))
	}
	saved, err := os.ReadFile(box)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range sent {
		if _, body, _ := bytes.Cut(unix(l.data), []byte("\n\n")); !bytes.Contains(saved, body) {
			t.Errorf("%s is not in what mutt saved (%d octets)", l.name, len(saved))
		}
	}
}

// fetchmailReads retrieves to a mail delivery agent: once leaving everything
// where it is, once not.
func fetchmailReads(t *testing.T, d *dev) {
	bin := needs(t, "fetchmail")
	a := d.account("fetchmail@dev.test")
	// fetchmail 6.4 puts garbage into lines that are longer than its buffer of 8 KiB.
	sent := d.fill(a, "plain", "dots", "spaces", "utf-8", "latin-1", "attachment", "five megabytes")
	dir := t.TempDir()
	mda := file(t, "mda", []byte("#!/bin/sh\nexec cat > \"$(mktemp "+dir+"/XXXXXXXX)\"\n"))
	if err := os.Chmod(mda, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, keep := range []string{"keep", "nokeep"} {
		config := file(t, "fetchmailrc", fmt.Appendf(nil, `
set no bouncemail
set invisible
poll localhost service %s protocol IMAP auth password timeout 20
  user "%s" password "%s" ssl sslproto "tls1.2+" sslcertck sslcertfile "%s"
  fetchall no rewrite no mimedecode %s mda "%s"
`, port(t, d.IMAPS), a.inbox, a.token, d.CAFile, keep, mda))
		out := mustTool(t, nil, bin, "--verbose", "--nosyslog", "--fetchmailrc", config, "--pidfile", filepath.Join(t.TempDir(), "pid"), "--idfile", filepath.Join(t.TempDir(), "ids"))
		got := map[string]bool{}
		for _, path := range entries(t, dir) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got[string(b)] = true
			os.Remove(path)
		}
		for _, l := range sent {
			if !hasBody(got, l) {
				t.Errorf("%s: fetchmail did not bring %s as it was sent\n%s", keep, l.name, ending(out))
			}
		}
		want := map[string]int{"keep": len(sent), "nokeep": 0}[keep]
		if n := len(d.mailbox(a, "INBOX")); n != want {
			t.Errorf("%s: %d messages are left, want %d", keep, n, want)
		}
	}
}

// hasBody reports whether a file of a client's has a letter's text with the line
// ends of files, below some header.
func hasBody(files map[string]bool, l letter) bool {
	head, body, _ := bytes.Cut(unix(l.data), []byte("\n\n"))
	id := messageID(append(bytes.ReplaceAll(head, []byte("\n"), []byte("\r\n")), "\r\n\r\n"...))
	for f := range files {
		h, b, _ := strings.Cut(f, "\n\n")
		if strings.Contains(h, id) && b == string(body) {
			return true
		}
	}
	return false
}

// entries are the paths of a directory's files; a directory that is not there
// has none.
func entries(t testing.TB, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var paths []string
	for _, e := range list {
		paths = append(paths, filepath.Join(dir, e.Name()))
	}
	return paths
}

// replica is a copy of an inbox in a Maildir that a program keeps in step.
type replica struct {
	d       *dev
	account account
	dir     string // the Maildir of INBOX
	sync    func() string
	uid     func(path string) imap.UID // the server's UID of a file
}

// copyOf is a message of a replica.
type copyOf struct {
	path  string
	flags string // as IMAP names them
}

// maildirFlags are the letters at the end of a Maildir's file names.
var maildirFlags = []struct{ letter, flag string }{
	{"D", `\Draft`}, {"F", `\Flagged`}, {"R", `\Answered`}, {"S", `\Seen`}, {"T", `\Deleted`},
}

// messages reads the replica by the UIDs of the server.
func (r *replica) messages() map[imap.UID]copyOf {
	r.d.t.Helper()
	found := map[imap.UID]copyOf{}
	for _, path := range append(entries(r.d.t, filepath.Join(r.dir, "cur")), entries(r.d.t, filepath.Join(r.dir, "new"))...) {
		_, marks, _ := strings.Cut(filepath.Base(path), ":2,")
		var flags []string
		for _, f := range maildirFlags {
			if strings.Contains(marks, f.letter) {
				flags = append(flags, f.flag)
			}
		}
		slices.Sort(flags)
		found[r.uid(path)] = copyOf{path, strings.Join(flags, " ")}
	}
	return found
}

// mark gives a file of the replica the flags of some letters, in order of the
// alphabet.
func (r *replica) mark(c copyOf, marks string) {
	r.d.t.Helper()
	name, _, _ := strings.Cut(filepath.Base(c.path), ":2,")
	if err := os.Rename(c.path, filepath.Join(r.dir, "cur", name+":2,"+marks)); err != nil {
		r.d.t.Fatal(err)
	}
}

// add puts a message into the replica, as a local program would.
func (r *replica) add(l letter) {
	r.d.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, "cur", fmt.Sprintf("1767366245.%d.local:2,S", os.Getpid())), unix(l.data), 0o600); err != nil {
		r.d.t.Fatal(err)
	}
}

var uidMark = regexp.MustCompile(`,U=(\d+)`)

// nameUID is the UID in a file name, 0 when there is none.
func nameUID(path string) imap.UID {
	m := uidMark.FindStringSubmatch(filepath.Base(path))
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseUint(m[1], 10, 32)
	return imap.UID(n)
}

// mbsync keeps an inbox in step with isync.
func (d *dev) mbsync(a account) *replica {
	d.t.Helper()
	bin, dir := needs(d.t, "mbsync"), d.t.TempDir()
	config := file(d.t, "mbsyncrc", fmt.Appendf(nil, `
IMAPAccount postern
Host localhost
Port %s
User %s
Pass %s
SSLType IMAPS
SSLVersions TLSv1.2 TLSv1.3
SystemCertificates no
CertificateFile %s
AuthMechs LOGIN

IMAPStore far
Account postern

MaildirStore near
Path %[5]s/
Inbox %[5]s/INBOX

Channel inbox
Far :far:
Near :near:
Create Both
Expunge Both
SyncState %[5]s/state-
`, port(d.t, d.IMAPS), a.inbox, a.token, d.CAFile, dir))
	r := &replica{d: d, account: a, dir: filepath.Join(dir, "INBOX")}
	r.sync = func() string { return mustTool(d.t, nil, bin, "--verbose", "--config", config, "inbox") }
	// The file names have isync's own UIDs; its state says which of the server's
	// they stand for.
	r.uid = func(path string) imap.UID { return mbsyncUIDs(d.t, dir)[nameUID(path)] }
	return r
}

// mbsyncUIDs reads isync's state: after a header, a line for each message with
// the server's UID, its own, and flags.
func mbsyncUIDs(t testing.TB, dir string) map[imap.UID]imap.UID {
	t.Helper()
	paths, _ := filepath.Glob(filepath.Join(dir, "state-*"))
	found := map[imap.UID]imap.UID{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			var far, near imap.UID
			if n, _ := fmt.Sscan(line, &far, &near); n == 2 {
				found[near] = far
			}
		}
	}
	return found
}

// offlineimap keeps an inbox in step with offlineimap.
func (d *dev) offlineimap(a account) *replica {
	d.t.Helper()
	bin, dir := needs(d.t, "offlineimap"), d.t.TempDir()
	config := file(d.t, "offlineimaprc", fmt.Appendf(nil, `
[general]
accounts = postern
metadata = %[1]s/metadata
ui = basic
socktimeout = 20

[Account postern]
localrepository = near
remoterepository = far

[Repository near]
type = Maildir
localfolders = %[1]s/mail

[Repository far]
type = IMAP
remotehost = localhost
remoteport = %[2]s
remoteuser = %[3]s
remotepass = %[4]s
ssl = yes
sslcacertfile = %[5]s
auth_mechanisms = PLAIN, LOGIN
folderfilter = lambda name: name == 'INBOX'
expunge = yes
`, dir, port(d.t, d.IMAPS), a.inbox, a.token, d.CAFile))
	r := &replica{d: d, account: a, dir: filepath.Join(dir, "mail", "INBOX"), uid: nameUID}
	r.sync = func() string { return mustTool(d.t, nil, bin, "-o", "-1", "-c", config) }
	return r
}

func mbsyncReads(t *testing.T, d *dev) {
	needs(t, "mbsync")
	a := d.account("mbsync@dev.test")
	d.mbsync(a).staysInStep(d.fill(a))
}

func offlineimapReads(t *testing.T, d *dev) {
	needs(t, "offlineimap")
	a := d.account("offlineimap@dev.test")
	d.offlineimap(a).staysInStep(d.fill(a))
}

// staysInStep changes both sides and looks at the other: flags, deletions and
// new messages travel both ways, and texts come and go unchanged.
func (r *replica) staysInStep(sent []letter) {
	t, d := r.d.t, r.d
	t.Helper()
	r.sync()
	r.has(sent)
	r.agrees("after the first time")
	here, all := r.messages(), uids(d.mailbox(r.account, "INBOX"))
	if len(all) != len(sent) || len(here) != len(sent) {
		t.Fatalf("%d messages here, %d there, %d sent", len(here), len(all), len(sent))
	}

	// Here a message gets flags, one goes, one comes; there as well.
	r.mark(here[all[0]], "FRS")
	if err := os.Remove(here[all[1]].path); err != nil {
		t.Fatal(err)
	}
	added := letters(r.account.inbox, "you@elsewhere.test")[2]
	r.add(added)
	d.changes(r.account, all[2], all[3])
	d.fill(r.account, "plain")
	r.sync()
	r.agrees("after changes on both sides")

	there := d.mailbox(r.account, "INBOX")
	if got := there[all[0]].flags; got != `\Answered \Flagged \Seen` {
		t.Errorf("flags that were set here are %q there", got)
	}
	if got := r.messages()[all[2]].flags; got != `\Flagged` {
		t.Errorf("a flag that was set there is %q here", got)
	}
	if len(there) != len(sent) || there[all[1]].view != nil || there[all[3]].view != nil {
		t.Errorf("after two deletions and two new messages there are %v, and were %v", uids(there), all)
	}
	arrived := 0
	for _, m := range there {
		if messageID(m.view) == messageID(added.data) {
			arrived++
			checkAddedView(t, added, m.view)
		}
	}
	if arrived != 1 {
		t.Errorf("what was new here is there %d times", arrived)
	}
}

// has holds the texts of a replica against what was sent.
func (r *replica) has(sent []letter) {
	t := r.d.t
	t.Helper()
	files := map[string]bool{}
	for _, c := range r.messages() {
		b, err := os.ReadFile(c.path)
		if err != nil {
			t.Fatal(err)
		}
		files[string(b)] = true
	}
	for _, l := range sent {
		if !hasBody(files, l) {
			t.Errorf("%s is not among %d files as it was sent", l.name, len(files))
		}
	}
}

// changes flags one message and expunges another on the server.
func (d *dev) changes(a account, flagged, gone imap.UID) {
	d.t.Helper()
	c := d.open(a)
	defer c.Close()
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		d.t.Fatal(err)
	}
	for uid, flag := range map[imap.UID]imap.Flag{flagged: imap.FlagFlagged, gone: imap.FlagDeleted} {
		add := &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{flag}}
		if err := c.Store(imap.UIDSetNum(uid), add, nil).Close(); err != nil {
			d.t.Fatal(err)
		}
	}
	if err := c.Expunge().Close(); err != nil {
		d.t.Fatal(err)
	}
}

// checkAddedView is checkView for a message to which a program added fields that
// tell it that the message is its own.
func checkAddedView(t testing.TB, l letter, view []byte) {
	t.Helper()
	own := regexp.MustCompile(`(?m)^X-(TUID|OfflineIMAP): .*\r\n`)
	head, body, _ := bytes.Cut(view, []byte("\r\n\r\n"))
	head = own.ReplaceAll(append(head, '\r', '\n'), nil)
	checkView(t, l, slices.Concat(head, []byte("\r\n"), body))
}

// flags are those of the replica.
func (r *replica) flags() map[imap.UID]string {
	found := map[imap.UID]string{}
	for uid, c := range r.messages() {
		found[uid] = c.flags
	}
	return found
}

// agrees compares the replica with the server: the same UIDs, the same flags.
func (r *replica) agrees(when string) {
	t := r.d.t
	t.Helper()
	here, there := r.flags(), flagsOf(r.d.mailbox(r.account, "INBOX"))
	if !maps.Equal(here, there) {
		t.Errorf("%s the replica has\n%v and the server\n%v", when, here, there)
	}
}
