package control

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"postern/server/directory"
	"postern/server/setup"
	"postern/storage"
	"postern/storage/audit"
)

// Fact is one thing about the health of the installation, for people.
type Fact struct {
	Section string             `json:"section"` // set-up, network, dns, tls, storage, keys, queue, clock, backup, audit, version
	Name    string             `json:"name"`
	State   setup.FindingState `json:"state"` // ok, warn, bad, unknown
	Text    string             `json:"text"`  // one sentence
	Found   string             `json:"found,omitempty"`
	Fix     string             `json:"fix,omitempty"`
	Command string             `json:"command,omitempty"`
	Path    string             `json:"path,omitempty"` // of the panel, where more stands

	alert storage.AlertKind // that goes with it; empty: none does
	rings bool              // it is so bad that somebody is told
	over  bool              // it is good enough for such an alert to end
}

// Doctor asks for all facts.
type Doctor struct {
	Look   bool `json:"look,omitempty"`   // ask the network anew
	Redact bool `json:"redact,omitempty"` // without names and addresses
}

func (s *Server) doctorCommands() {
	answer(s, "doctor", s.doctor)
	answer(s, "doctor.changes", s.doctorChanges)
}

// Doctor says of each part of the installation how it is, in the order of sections.
func (c *Client) Doctor(ctx context.Context, q Doctor) ([]Fact, error) {
	return ask[Doctor, []Fact](ctx, c, "doctor", q)
}

func (s *Server) doctor(ctx context.Context, by caller, q Doctor) ([]Fact, error) {
	if q.Look && by.person != nil && !directory.Allows(by.person.Person.Roles, directory.ActOperate) {
		return nil, by.roleRefuses(directory.ActOperate)
	}
	if q.Look {
		if _, err := s.Setup.Look(ctx, by.org); err != nil {
			return nil, err
		}
	}
	facts, state, names, err := s.facts(ctx, by)
	if err != nil {
		return nil, err
	}
	if err := s.remember(ctx, by.org, facts); err != nil {
		return nil, err
	}
	if q.Redact {
		redact(facts, append(names, state.Host), state.Setup.Addresses)
	}
	return facts, nil
}

// facts looks at everything, for one organization; names are those of its domains.
func (s *Server) facts(ctx context.Context, by caller) (facts []Fact, state setup.State, names []string, err error) {
	if state, err = s.Setup.State(ctx, by.org); err != nil {
		return nil, state, nil, err
	}
	facts = append(stepFacts(&state), s.networkFacts()...)
	names, domains, err := s.dnsFacts(ctx, by)
	if err != nil {
		return nil, state, nil, err
	}
	facts = append(facts, domains...)
	facts = append(facts, s.tlsFact(), s.spaceFact())
	facts = append(facts, keyFacts(&state)...)
	queue, err := s.queueFact(ctx, by)
	if err != nil {
		return nil, state, nil, err
	}
	clock, err := s.clockFacts(ctx)
	if err != nil {
		return nil, state, nil, err
	}
	backups, err := s.backupFacts(ctx)
	if err != nil {
		return nil, state, nil, err
	}
	facts = slices.Concat(facts, []Fact{queue}, clock, backups)
	return append(facts, s.logFact(ctx), Fact{Section: "version", Name: "Program", State: setup.Good, Text: "Version " + s.Version + "."}), state, names, nil
}

// stepCommands are what does each step of the set-up.
var stepCommands = map[storage.SetupStep][2]string{
	storage.SetupName:   {"The server has no name, and its doors for mail are closed.", "postern setup --host mail.example.com"},
	storage.SetupAdmin:  {"Nobody has an account.", "postern setup --admin you@example.com"},
	storage.SetupDomain: {"There is no domain.", "postern setup --domain agents.example.com"},
	storage.SetupAgent:  {"There is no agent.", "postern setup --domain agents.example.com --agent scout"},
}

// stepFacts are the steps that were put off. The recovery key stands with the keys.
func stepFacts(state *setup.State) (facts []Fact) {
	for _, step := range state.Steps {
		if words, ok := stepCommands[step.Name]; ok && !step.Done {
			facts = append(facts, Fact{Section: "set-up", Name: string(step.Name), State: setup.Warn, Text: words[0], Command: words[1], Path: "/setup/" + string(step.Name)})
		}
	}
	return facts
}

// findingNames name what was looked at from the network's side.
var findingNames = map[string]string{"address": "Address", "reverse": "Reverse name", "outgoing": "Port 25 out", "block-lists": "Block lists"}

func (s *Server) networkFacts() (facts []Fact) {
	for _, d := range s.Shut {
		facts = append(facts, Fact{Section: "network", Name: "Door " + d[0], State: setup.Bad, Text: "A door for mail could not be opened.", Found: d[1],
			Fix: "Stop the program that has the port, and start the server again."})
	}
	l := s.Setup.Looked()
	for _, f := range l.Findings {
		facts = append(facts, Fact{Section: "network", Name: findingNames[f.Name], State: f.State, Text: f.Text, Found: f.Found, Fix: f.Fix, Path: "/setup/name"})
	}
	if l.At.IsZero() {
		facts = append(facts, Fact{Section: "network", Name: "Seen from outside", State: setup.Unknown, Text: "Nobody has looked since the start.", Command: "postern doctor --look"})
	}
	return facts
}

// dnsFacts are what the last check of each domain found, with the names of the domains.
func (s *Server) dnsFacts(ctx context.Context, by caller) (names []string, facts []Fact, err error) {
	read := func(after uuid.UUID) ([]storage.Domain, error) { return s.Directory.Domains(ctx, by.org, after, page) }
	err = pages(read, func(d *storage.Domain) uuid.UUID { return d.ID }, func(d *storage.Domain) error {
		names = append(names, d.Name)
		check, err := s.Directory.DomainCheck(ctx, d.Org, d.ID)
		v := dnsView(&check)
		f := Fact{Section: "dns", Name: d.Name, State: setup.Good, Text: "Its records are in place.", Path: "/domains/" + d.Name, Command: "postern domain check " + d.Name}
		switch {
		case v.State == "unchecked":
			f.State, f.Text = setup.Unknown, "Nobody has looked at its records yet."
		case v.State != "ok":
			f.State, f.Text = setup.Bad, fmt.Sprintf("%d of its records are missing or wrong.", v.Problems)
		case !d.Owned:
			f.State, f.Text = setup.Warn, "Its ownership is not proved: it does not send outside."
		}
		facts = append(facts, f)
		return err
	})
	return names, facts, err
}

func (s *Server) tlsFact() Fact {
	f := Fact{Section: "tls", Name: "Certificate", State: setup.Good, Text: "Others accept it.", Command: "postern certificate list"}
	concerns := s.Certificates.Concerns() // of which acme tells by itself
	f.alert, f.over = storage.AlertCertificateExpiring, len(concerns) == 0
	if err := s.Certificates.Check(); err != nil {
		f.State, f.Text = setup.Bad, "Others do not accept it."
		f.Found, f.Fix = err.Error(), "Set acme.directory, or tls.cert and tls.key, or name an authority in the set-up."
	} else if len(concerns) > 0 {
		f.State, f.Text, f.Found = setup.Warn, "One ends soon, and there is no other yet.", concerns[0]
		f.Fix = "See why another could not be had, or put another into the server's own files and reload."
	}
	return f
}

func (s *Server) spaceFact() Fact {
	free, all, err := s.Store.Space()
	if err != nil {
		return Fact{Section: "storage", Name: "Space", State: setup.Unknown, Text: "How much room there is cannot be told."}
	}
	return roomFact(free, all, s.Store.Room() != nil)
}

// roomFact says what there being so many bytes free of so many means. An alert ends
// only when there is clearly more room than would raise one. // AV-5
func roomFact(free, all int64, full bool) Fact {
	f := Fact{Section: "storage", Name: "Space", State: setup.Good, Text: "There is room.", alert: storage.AlertDiskLow}
	low := max(all/20, 4*storage.DefaultReserve)
	switch {
	case full:
		f.State, f.Text = setup.Bad, "The disk is full: no mail is accepted."
	case free < low:
		f.State, f.Text = setup.Warn, "The disk is nearly full."
	}
	f.rings, f.over = full || free < low, !full && free >= low+low/4
	f.Found = fmt.Sprintf("%.1f of %.1f GB free", float64(free)/1e9, float64(all)/1e9)
	if f.State != setup.Good {
		f.Fix = "Make room on the file system of the data directory, or move it to a larger one."
	}
	return f
}

func keyFacts(state *setup.State) []Fact {
	f := Fact{Section: "keys", Name: "Recovery key", State: setup.Good, Text: "It is confirmed.", Path: "/setup/keys", Command: "postern key recovery --file FILE"}
	switch mark := state.Setup.Recovery; {
	case mark.ID == "":
		f.State, f.Text = setup.Warn, "There is none: when the root key is lost, nothing can be read again."
	case state.Unproved:
		f.State, f.Text, f.Found = setup.Warn, "It was made, and nobody has shown that they keep it.", mark.ID
	default:
		f.Found = mark.ID
	}
	return []Fact{f}
}

// queueLate is how long mail may wait until somebody should look.
const queueLate = 4 * time.Hour

func (s *Server) queueFact(ctx context.Context, by caller) (Fact, error) {
	f := Fact{Section: "queue", Name: "Outgoing mail", State: setup.Good, Text: "Nothing waits for long.", Path: "/queue", Command: "postern queue list",
		alert: storage.AlertQueueStuck}
	counts, err := s.Queue.Counts(ctx, by.org)
	waiting := int64(0)
	for _, c := range counts {
		waiting += c.Count
		// What is held waits for people, who are told otherwise.
		if late := s.Now().Sub(c.Oldest); c.State == storage.OutgoingQueued && c.Count > 0 && late > queueLate {
			f.State, f.Text, f.rings = setup.Warn, "Some mail waits for more than four hours.", true
			f.Fix = "See what the servers of its recipients answered."
		}
	}
	f.over = !f.rings
	f.Found = fmt.Sprintf("%d waiting", waiting)
	return f, err
}

const (
	// clockJump is from which step on the clock is said to have jumped: codes of
	// authenticators last as long.
	clockJump = 30 * time.Second
	// clockCalm is how long after it an alert about that ends.
	clockCalm = time.Hour
)

// clockFacts are whether the clock is kept exact, and whether it jumped. // AU-8, AV-5
func (s *Server) clockFacts(ctx context.Context) ([]Fact, error) {
	jump := Fact{Section: "clock", Name: "Steps", State: setup.Good, Text: "It did not jump within a day.", Command: "postern audit list --verb clock.step",
		alert: storage.AlertClockStep}
	now := s.Now()
	steps, err := s.Store.Events(ctx, storage.EventQuery{Verbs: []audit.Verb{audit.ClockStep}, Since: now.Add(-24 * time.Hour), Newest: true, Limit: 20})
	for i := range steps {
		ms, _ := steps[i].Fields.Int(audit.KeyStepMillis)
		d := time.Duration(ms) * time.Millisecond
		if d.Abs() < clockJump || steps[i].Time.After(now.Add(clockCalm)) {
			continue
		}
		jump.State, jump.Text, jump.Fix = setup.Warn, "It jumped: times in the log before and after do not fit together.", "Find out what sets it, and have one time service keep it."
		jump.Found = fmt.Sprintf("by %s, at %s", d.Round(time.Second), steps[i].Time.Format(time.RFC3339))
		jump.rings = now.Sub(steps[i].Time) < clockCalm
		break
	}
	jump.over = !jump.rings
	return []Fact{clockFact(), jump}, err
}

// clockFact is whether the kernel says that somebody keeps the clock exact: adjtimex(2).
func clockFact() Fact {
	f := Fact{Section: "clock", Name: "Clock", State: setup.Good, Text: "It is kept exact."}
	var t unix.Timex
	switch state, err := unix.Adjtimex(&t); {
	case err != nil:
		f.State, f.Text = setup.Unknown, "The kernel does not say whether it is exact."
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		f.State, f.Text = setup.Warn, "Nothing keeps it exact: codes of authenticators and times in the log may be wrong."
		f.Fix, f.Command = "Run a time service, such as systemd-timesyncd or chrony.", "timedatectl set-ntp true"
	}
	return f
}

const (
	// backupAge is how old the newest backup may be: a day, and some time for one that
	// is made each day to be on its way.
	backupAge = 26 * time.Hour
	// backupGrace is how long an installation may have none at all.
	backupGrace = 7 * 24 * time.Hour
)

// backupFacts say when a backup was made and when one was tried. // AV-4
func (s *Server) backupFacts(ctx context.Context) ([]Fact, error) {
	made, err := s.last(ctx, audit.BackupCreate)
	if err != nil {
		return nil, err
	}
	tried, err := s.last(ctx, audit.BackupVerify)
	b := Fact{Section: "backup", Name: "Last backup", State: setup.Good, Text: "It is not older than a day.", Command: "postern backup create --to DIR",
		alert: storage.AlertBackupOld}
	switch {
	case made == nil:
		b.State, b.Text, b.Fix = setup.Warn, "None was made yet.", "Make one each day, on another machine's disk."
		if b.rings, err = s.olderThan(ctx, backupGrace); err != nil {
			return nil, err
		}
	case s.Now().Sub(made.Time) > backupAge:
		b.State, b.Text, b.Fix, b.rings = setup.Warn, "It is older than a day.", "See why the job that makes it does not run.", true
	}
	b.over = !b.rings
	if made != nil {
		b.Found = made.Time.Format(time.RFC3339)
	}
	d := Fact{Section: "backup", Name: "Last restore test", State: setup.Good, Text: "It found no problem.", Command: "postern backup verify DIR"}
	switch {
	case tried == nil:
		d.State, d.Text = setup.Warn, "Nobody has tried whether a backup can be restored."
	case tried.Outcome != audit.OK:
		d.State, d.Text = setup.Bad, "It found problems."
	}
	if tried != nil {
		d.Found = tried.Time.Format(time.RFC3339)
	}
	return []Fact{b, d}, err
}

// olderThan reports whether this installation has been here for longer than that.
func (s *Server) olderThan(ctx context.Context, d time.Duration) (bool, error) {
	first, err := s.Store.Events(ctx, storage.EventQuery{Limit: 1})
	return len(first) > 0 && s.Now().Sub(first[0].Time) > d, err
}

// last is the newest event of a kind; nil when there is none.
func (s *Server) last(ctx context.Context, verb audit.Verb) (*audit.Event, error) {
	events, err := s.Store.Events(ctx, storage.EventQuery{Verbs: []audit.Verb{verb}, Newest: true, Limit: 1})
	if err != nil || len(events) == 0 {
		return nil, err
	}
	return &events[0], nil
}

func (s *Server) logFact(ctx context.Context) Fact {
	f := Fact{Section: "audit", Name: "Sequence", State: setup.Good, Text: "The log is written.", Path: "/audit", Command: "postern audit export FILE && postern audit verify FILE"}
	if err := s.beating(ctx); err != nil {
		f.State, f.Text, f.Found = setup.Bad, "The log is not written.", err.Error()
	}
	return f
}

// redact takes names and addresses out of facts, and what others said.
func redact(facts []Fact, names, addresses []string) {
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) }) // a name may end another
	var pairs []string
	for i, n := range names {
		if n != "" {
			pairs = append(pairs, n, fmt.Sprintf("[name %d]", i+1))
		}
	}
	for i, a := range addresses {
		pairs = append(pairs, a, fmt.Sprintf("[address %d]", i+1))
	}
	r := strings.NewReplacer(pairs...)
	for i := range facts {
		f := &facts[i]
		for _, text := range []*string{&f.Name, &f.Text, &f.Fix, &f.Command, &f.Path} {
			*text = hideAddresses(r.Replace(*text))
		}
		if f.Section == "network" {
			f.Found = ""
		}
		f.Found = hideAddresses(r.Replace(f.Found))
	}
}

// hideAddresses takes out words that are network addresses.
func hideAddresses(text string) string {
	words := strings.Fields(text)
	for i, w := range words {
		if _, err := netip.ParseAddr(strings.Trim(w, ".,;()")); err == nil {
			words[i] = "[address]"
		}
	}
	return strings.Join(words, " ")
}
