package policy

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"postern/storage"
)

// Subjects are what a message is sent by and counted for: the credential, its
// agent, the inbox, and the domain and organization of the inbox. A zero id is a
// subject that is not known, or of no concern.
type Subjects struct {
	Organization, Domain, Agent, Credential, Inbox uuid.UUID
}

// IDs are those that are known, the widest first.
func (s Subjects) IDs() []uuid.UUID {
	all := []uuid.UUID{s.Organization, s.Domain, s.Agent, s.Credential, s.Inbox}
	return slices.DeleteFunc(all, func(id uuid.UUID) bool { return id == uuid.Nil })
}

// at is the subject at a level.
func (s Subjects) at(level storage.PolicyLevel) uuid.UUID {
	switch level {
	case storage.LevelOrganization:
		return s.Organization
	case storage.LevelDomain:
		return s.Domain
	case storage.LevelAgent:
		return s.Agent
	case storage.LevelCredential:
		return s.Credential
	}
	return s.Inbox
}

// Rules is what holds for one credential on one inbox. The zero Rules say
// nothing: no limit, no rule, no hold.
type Rules struct {
	Levels      []Level
	Holds       Holds
	Provenance  Provenance
	Credentials Credentials
	People      People
	Alerts      Alerts
	TLS         TLS
	Reading     Reading
	Published   Published
	// KeyAge is how long a signing key signs before the next is made; zero: nothing is
	// said; Never: until a person asks.
	KeyAge time.Duration
}

// TLS says where mail goes over authenticated TLS or not at all. // CO-1
type TLS struct {
	Required []string // canonical, sorted: domains, "*." and a domain, or "*"
}

// Requires reports whether that is so of mail to a domain, in A-labels.
func (t TLS) Requires(domain string) bool {
	return slices.Contains(t.Required, everywhere) || listed(t.Required, domain)
}

// Level is what one level asks of every message, beside what the others ask.
type Level struct {
	Level      storage.PolicyLevel
	Subject    uuid.UUID
	Limits     []Limit
	Size       int64 // of a message, in bytes; zero: no limit
	Recipients Recipients
}

// Limit bounds what a subject sends within a window.
type Limit struct {
	Key Key
	Max int64
}

// Recipients says whom may be written to.
type Recipients struct {
	Allow   []string // canonical, sorted; nil: anybody; empty: nobody
	Deny    []string // canonical, sorted
	Replies bool     // only who wrote authenticated, clean mail to the inbox
	Inside  bool     // only addresses of the organization's domains
}

// Holds says which messages wait for a person, and how.
type Holds struct {
	Always, FirstTime, NewDomain, Attachment, Forward bool

	Recipients int64         // more than this many; zero: no rule
	Rate       int64         // beyond this many messages of the agent in an hour; zero: no rule
	Taint      time.Duration // after the agent read suspicious mail; zero: no rule
	Expiry     time.Duration // of a wait
	Persons    int           // that it takes to release
}

// Demand is what is done about a declaration that is missing.
type Demand uint8

// The demands, the strictest last.
const (
	Allow Demand = iota
	Warn
	Refuse
)

// Provenance says what a message must declare.
type Provenance struct{ Trigger, Content Demand }

// Credentials bounds credentials and their sessions.
type Credentials struct {
	MaxAge, Warn, SessionLength time.Duration
	Sessions                    int
	SafeView                    bool // they must have the safe view // CO-6
}

// People says how people show who they are. // AC-15
type People struct {
	Factor  string        // what they must show to do anything: optional, any, passkey
	Session time.Duration // how long a session may last
	Idle    time.Duration // and lie unused
	Proof   time.Duration // for how long a second factor counts as just shown
}

// Alerts says who is told and what is stopped at once.
type Alerts struct {
	Mail   []string
	Freeze []string // kinds of alerts
}

// Published is what a domain asks of others, in the DNS. The words are those of the
// standards.
type Published struct {
	DMARC  string // none, quarantine, reject (RFC 7489, section 6.3)
	MTASTS string // none, testing, enforce (RFC 8461, section 3.2)
}

// Load reads the policies of the subjects, from memory, and what they come to.
func Load(ctx context.Context, store *storage.Store, s Subjects) (Rules, error) {
	policies, err := store.Policies(ctx, s.Organization, s.IDs()...)
	if err != nil {
		return Rules{}, err
	}
	return Effective(s, policies), nil
}

// Effective is what policies come to: each level's limits and recipients count
// for themselves, and of everything else the tightest wins, so that nothing below
// loosens what stands above. A default stands where its own level says nothing.
func Effective(s Subjects, policies []storage.Policy) Rules {
	e := effect{policies: policies}
	return Rules{
		Levels: e.levels(s),
		Holds: Holds{
			Always: e.yes(KeyHoldAlways), FirstTime: e.yes(KeyHoldFirstTime), NewDomain: e.yes(KeyHoldNewDomain),
			Attachment: e.yes(KeyHoldAttachment), Forward: e.yes(KeyHoldForward),
			Recipients: e.number(KeyHoldRecipients), Rate: e.number(KeyHoldRate),
			Taint: e.duration(KeyHoldTaint), Expiry: e.duration(KeyHoldExpiry), Persons: int(e.number(KeyHoldPersons)),
		},
		Provenance: Provenance{Trigger: Demand(e.number(KeyProvenanceTrigger)), Content: Demand(e.number(KeyProvenanceContent))},
		Credentials: Credentials{
			MaxAge: e.duration(KeyCredentialAge), Warn: e.duration(KeyCredentialWarn),
			SessionLength: e.duration(KeySessionLength), Sessions: int(e.number(KeySessions)),
			SafeView: e.word(KeyCredentialView) != string(storage.ViewOriginal),
		},
		People: People{
			Factor: e.word(KeySecondFactor), Session: e.duration(KeyPersonSession), Idle: e.duration(KeyPersonIdle), Proof: e.duration(KeyPersonProof),
		},
		Alerts:    Alerts{Mail: e.union(KeyAlertMail), Freeze: e.union(KeyAlertFreeze)},
		Reading:   Reading{Persons: int(e.number(KeyGlassPersons)), Subjects: e.yes(KeyListSubjects)},
		TLS:       TLS{Required: e.union(KeyTLSRequired)},
		Published: Published{DMARC: e.word(KeyDMARC), MTASTS: e.word(KeyMTASTS)},
		KeyAge:    e.duration(KeyDKIMRotate),
	}
}

// effect reads settings out of the policies of several levels.
type effect struct{ policies []storage.Policy }

// number is the tightest value of a setting, zero when nothing is set. Of words
// it is the place in their order.
func (e effect) number(key Key) int64 {
	s := byKey[key]
	values := s.values(e.policies)
	i := s.tightest(values)
	if i < 0 {
		return 0
	}
	return s.rank(values[i].Value)
}

func (e effect) duration(key Key) time.Duration { return time.Duration(e.number(key)) }

func (e effect) word(key Key) string { return byKey[key].Words[e.number(key)] }

func (e effect) yes(key Key) bool { return e.number(key) == 1 }

func (e effect) union(key Key) []string {
	var all []string
	for _, v := range byKey[key].values(e.policies) {
		all = append(all, split(v.Value)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// limits are the settings that bound what is sent within a window.
var limits = []Key{
	KeyMessagesPerMinute, KeyMessagesPerHour, KeyMessagesPerDay,
	KeyRecipientsPerMinute, KeyRecipientsPerHour, KeyRecipientsPerDay, KeyFirstTimePerDay,
}

// levels are those that ask anything.
func (e effect) levels(s Subjects) []Level {
	var all []Level
	for _, name := range sending {
		subject := s.at(name)
		if subject == uuid.Nil {
			continue
		}
		l := Level{Level: name, Subject: subject}
		l.read(e.own(subject))
		if len(l.Limits) > 0 || l.Size > 0 || l.Recipients.any() {
			all = append(all, l)
		}
	}
	return all
}

// own is what is set for one subject.
func (e effect) own(subject uuid.UUID) map[string]string {
	for i := range e.policies {
		if e.policies[i].Target == subject {
			return e.policies[i].Values
		}
	}
	return nil
}

func (l *Level) read(values map[string]string) {
	for _, key := range limits {
		s := byKey[key]
		text, ok := values[string(key)]
		if !ok && s.DefaultLevel == l.Level {
			text, ok = s.Default, true
		}
		if ok {
			l.Limits = append(l.Limits, Limit{key, s.rank(text)})
		}
	}
	if text, ok := values[string(KeyMessageSize)]; ok {
		l.Size = byKey[KeyMessageSize].rank(text)
	}
	r := &l.Recipients
	if text, ok := values[string(KeyRecipientsAllow)]; ok {
		r.Allow = append([]string{}, split(text)...)
	}
	r.Deny = split(values[string(KeyRecipientsDeny)])
	r.Replies = values[string(KeyRepliesOnly)] == "yes"
	r.Inside = values[string(KeyInsideOnly)] == "yes"
}

func (r *Recipients) any() bool { return r.Allow != nil || len(r.Deny) > 0 || r.Replies || r.Inside }

// rank is a value as a number: the value of a count, a size or a duration, the
// place of a word in the order of strictness, 1 for yes. A text that is none, which
// only a newer version could have written, is the tightest there is.
func (s *Setting) rank(text string) int64 {
	switch s.Kind {
	case YesNo:
		if text == "no" || text != "yes" && s.Join == Least {
			return 0
		}
		return 1
	case Choice:
		if i := slices.Index(s.Words, text); i >= 0 {
			return int64(i)
		}
		return int64(len(s.Words) - 1)
	}
	n, err := s.number(text)
	switch {
	case err == nil:
		return n
	case s.Join == Most:
		return s.Max
	}
	return s.Min
}
