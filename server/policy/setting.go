package policy

import (
	"time"

	"postern/storage"
)

// Key names a setting of a policy. The vocabulary is closed: settings holds it.
type Key string

// The vocabulary.
const (
	KeyMessagesPerMinute   Key = "messages-per-minute"
	KeyMessagesPerHour     Key = "messages-per-hour"
	KeyMessagesPerDay      Key = "messages-per-day"
	KeyRecipientsPerMinute Key = "recipients-per-minute"
	KeyRecipientsPerHour   Key = "recipients-per-hour"
	KeyRecipientsPerDay    Key = "recipients-per-day"
	KeyFirstTimePerDay     Key = "first-time-per-day"
	KeyMessageSize         Key = "message-size"

	KeySessions       Key = "sessions"
	KeySessionLength  Key = "session-length"
	KeyCredentialAge  Key = "credential-age"
	KeyCredentialWarn Key = "credential-warn"
	KeyCredentialView Key = "credential-view"

	KeyRecipientsAllow Key = "recipients-allow"
	KeyRecipientsDeny  Key = "recipients-deny"
	KeyRepliesOnly     Key = "replies-only"
	KeyInsideOnly      Key = "inside-only"

	KeyHoldAlways     Key = "hold-always"
	KeyHoldFirstTime  Key = "hold-first-time"
	KeyHoldNewDomain  Key = "hold-new-domain"
	KeyHoldAttachment Key = "hold-attachment"
	KeyHoldRecipients Key = "hold-recipients"
	KeyHoldForward    Key = "hold-forward"
	KeyHoldRate       Key = "hold-rate"
	KeyHoldTaint      Key = "hold-taint"
	KeyHoldExpiry     Key = "hold-expiry"
	KeyHoldPersons    Key = "hold-persons"

	KeyProvenanceTrigger Key = "provenance-trigger"
	KeyProvenanceContent Key = "provenance-content"
	KeyAlertMail         Key = "alert-mail"
	KeyAlertFreeze       Key = "alert-freeze"

	KeyInjectionSuspicious Key = "injection-suspicious"
	KeyInjectionQuarantine Key = "injection-quarantine"
	KeyInjectionPartial    Key = "injection-partial"
	KeyInjectionReportOnly Key = "injection-report-only"
	KeyQuarantineExpiry    Key = "quarantine-expiry"

	KeyGlassPersons Key = "break-glass-persons"
	KeyListSubjects Key = "list-subjects"

	KeySecondFactor  Key = "second-factor"
	KeyPersonSession Key = "person-session"
	KeyPersonIdle    Key = "person-idle"
	KeyPersonProof   Key = "person-proof"

	KeyDMARC        Key = "dmarc"
	KeyMTASTS       Key = "mta-sts"
	KeyDMARCReject  Key = "dmarc-reject"
	KeyTLSRequired  Key = "tls-required"
	KeyARCTrusted   Key = "arc-trusted"
	KeyDMARCReports Key = "dmarc-reports"
	KeyTLSReports   Key = "tls-reports"
	KeyDKIMRotate   Key = "dkim-rotate"
)

// Kind is what the values of a setting are.
type Kind string

// The kinds.
const (
	Count    Kind = "count"
	Duration Kind = "duration"
	Size     Kind = "size"
	YesNo    Kind = "yes or no"
	Places   Kind = "addresses and domains" // a list
	Mails    Kind = "addresses"             // a list
	Domains  Kind = "domains"               // a list
	Routes   Kind = "domains or *"          // a list
	Words    Kind = "words"                 // a list
	Choice   Kind = "choice"
)

// Join says how what several levels set comes together.
type Join string

// The ways.
const (
	Each  Join = "each"  // every level's own counts for itself
	Least Join = "least" // the smallest of all
	Most  Join = "most"  // the largest of all; of words, the last in order; yes before no
)

// Setting is one key of the vocabulary.
type Setting struct {
	Key      Key
	Kind     Kind
	Join     Join
	Min, Max int64    // of counts, bytes and nanoseconds
	Words    []string // that a choice or a list of words is made of; the strictest last
	Off      bool     // a duration may also be "off", which is longer than any
	Levels   []storage.PolicyLevel
	Default  string // in canonical text; empty: nothing is set
	// DefaultLevel is the level whose own value replaces the default.
	DefaultLevel storage.PolicyLevel
	Help         string
}

const (
	day = 24 * time.Hour
	// most of anything that is counted.
	countMax = 1_000_000_000
)

var (
	sending = []storage.PolicyLevel{storage.LevelOrganization, storage.LevelDomain, storage.LevelAgent, storage.LevelCredential, storage.LevelInbox}
	acting  = sending[:4]
	ruling  = sending[:3]
	// viewing is where it is said what may be seen of messages.
	viewing = []storage.PolicyLevel{storage.LevelOrganization, storage.LevelDomain, storage.LevelAgent, storage.LevelInbox}
	// published is what a domain says of itself in the DNS.
	published = []storage.PolicyLevel{storage.LevelDomain}
	// hosting is what has to do with mail of a domain, whoever reads it.
	hosting = sending[:2]
	// staffing is what people show who run an installation.
	staffing = sending[:1]
	// receiving is what an inbox does with its mail.
	receiving = []storage.PolicyLevel{storage.LevelOrganization, storage.LevelDomain, storage.LevelInbox}
)

// provenances are what policy may do about a declaration that is missing.
var provenances = []string{"allow", "warn", "refuse"}

// alerts are the kinds of alerts.
var alerts = func() []string {
	var all []string
	for _, kind := range storage.AlertKinds() {
		all = append(all, string(kind))
	}
	return all
}()

// settings is the vocabulary, in the order in which it is shown.
var settings = []Setting{
	limit(KeyMessagesPerMinute, "", "messages within any minute"),
	limit(KeyMessagesPerHour, "60", "messages within any hour"),
	limit(KeyMessagesPerDay, "500", "messages within any 24 hours"),
	limit(KeyRecipientsPerMinute, "", "recipients of messages within any minute"),
	limit(KeyRecipientsPerHour, "", "recipients of messages within any hour"),
	limit(KeyRecipientsPerDay, "", "recipients of messages within any 24 hours"),
	limit(KeyFirstTimePerDay, "50", "recipients within any 24 hours that the inbox had never sent to"),
	{Key: KeyMessageSize, Kind: Size, Join: Each, Min: 1 << 10, Max: MaxSize, Levels: sending, Help: "size of a message"},

	{Key: KeySessions, Kind: Count, Join: Least, Min: 1, Max: 10_000, Levels: acting,
		Default: "50", DefaultLevel: storage.LevelOrganization, Help: "sessions that a credential may have open at a time"},
	{Key: KeySessionLength, Kind: Duration, Join: Least, Min: int64(time.Minute), Max: int64(30 * day), Levels: acting,
		Default: "1d", DefaultLevel: storage.LevelOrganization, Help: "how long a session may last"},
	{Key: KeyCredentialAge, Kind: Duration, Join: Least, Min: int64(time.Hour), Max: int64(3650 * day), Levels: ruling,
		Default: "90d", DefaultLevel: storage.LevelOrganization, Help: "the longest life of a credential"},
	{Key: KeyCredentialWarn, Kind: Duration, Join: Most, Min: int64(time.Hour), Max: int64(365 * day), Levels: ruling,
		Default: "14d", DefaultLevel: storage.LevelOrganization, Help: "how long before its end a credential is warned of"},
	{Key: KeyCredentialView, Kind: Choice, Join: Most, Words: []string{string(storage.ViewOriginal), string(storage.ViewSafe)}, Levels: viewing,
		Default: "original", DefaultLevel: storage.LevelOrganization,
		Help: "what credentials may show of messages: original or safe; those with the original let nobody in where it is safe"},

	{Key: KeyRecipientsAllow, Kind: Places, Join: Each, Levels: acting, Help: "only to these; an empty list (none) is nobody"},
	{Key: KeyRecipientsDeny, Kind: Places, Join: Each, Levels: acting, Help: "never to these, whatever is allowed"},
	{Key: KeyRepliesOnly, Kind: YesNo, Join: Most, Levels: acting, Help: "only to who wrote authenticated, clean mail to the inbox"},
	{Key: KeyInsideOnly, Kind: YesNo, Join: Most, Levels: acting, Help: "only to addresses of the organization's domains here"},

	{Key: KeyHoldAlways, Kind: YesNo, Join: Most, Levels: acting, Help: "every message waits for a person"},
	{Key: KeyHoldFirstTime, Kind: YesNo, Join: Most, Levels: acting, Help: "waits: to an address that the inbox never sent to"},
	{Key: KeyHoldNewDomain, Kind: YesNo, Join: Most, Levels: acting, Help: "waits: to a domain that the inbox never sent to"},
	{Key: KeyHoldAttachment, Kind: YesNo, Join: Most, Levels: acting, Help: "waits: with an attachment"},
	{Key: KeyHoldRecipients, Kind: Count, Join: Least, Min: 1, Max: MaxRecipients, Levels: acting, Help: "waits: to more recipients than this"},
	{Key: KeyHoldForward, Kind: YesNo, Join: Most, Levels: acting, Help: "waits: with content of stored mail"},
	{Key: KeyHoldRate, Kind: Count, Join: Least, Min: 1, Max: countMax, Levels: ruling, Help: "waits: beyond this many messages of the agent in an hour"},
	{Key: KeyHoldTaint, Kind: Duration, Join: Most, Min: 0, Max: int64(day), Levels: ruling,
		Default: "1h", DefaultLevel: storage.LevelOrganization, Help: "waits: for this long after the agent read suspicious mail; 0 is never"},
	{Key: KeyHoldExpiry, Kind: Duration, Join: Least, Min: int64(time.Minute), Max: int64(30 * day), Levels: ruling,
		Default: "3d", DefaultLevel: storage.LevelOrganization, Help: "how long a message waits before it is rejected"},
	{Key: KeyHoldPersons, Kind: Count, Join: Most, Min: 1, Max: 2, Levels: ruling,
		Default: "1", DefaultLevel: storage.LevelOrganization, Help: "people that it takes to release a message or to weaken a policy"},

	{Key: KeyProvenanceTrigger, Kind: Choice, Join: Most, Words: provenances, Levels: acting, Default: "allow",
		DefaultLevel: storage.LevelOrganization, Help: "when a message does not declare what caused it: allow, warn or refuse"},
	{Key: KeyProvenanceContent, Kind: Choice, Join: Most, Words: provenances, Levels: acting, Default: "allow",
		DefaultLevel: storage.LevelOrganization, Help: "when a message does not declare how it came about: allow, warn or refuse"},
	{Key: KeyAlertMail, Kind: Mails, Join: Each, Levels: ruling, Help: "who is told of alerts"},
	{Key: KeyAlertFreeze, Kind: Words, Join: Each, Words: alerts, Levels: ruling, Help: "alerts that freeze the agent at once"},

	band(KeyInjectionSuspicious, "mark", []string{"deliver", "mark", "quarantine"}, "mail that scores as suspicious: deliver, mark or quarantine"),
	band(KeyInjectionQuarantine, "quarantine", []string{"mark", "quarantine"}, "mail that scores as hostile: mark or quarantine; hidden text always goes into quarantine"),
	band(KeyInjectionPartial, "mark", []string{"mark", "quarantine"}, "mail that could not be read in whole: mark or quarantine"),
	{Key: KeyInjectionReportOnly, Kind: YesNo, Join: Least, Levels: receiving, Default: "no", DefaultLevel: storage.LevelInbox,
		Help: "mark and record what would go into quarantine because of its score, and let it in"},
	{Key: KeyQuarantineExpiry, Kind: Duration, Join: Least, Min: int64(day), Max: int64(3650 * day), Levels: receiving,
		Help: "how long mail waits in quarantine before it is rejected; while nobody sets it, for good"},

	{Key: KeyGlassPersons, Kind: Count, Join: Most, Min: 1, Max: 2, Levels: receiving, Default: "1", DefaultLevel: storage.LevelOrganization,
		Help: "people that it takes to read a message of an inbox, who reads it included"},
	{Key: KeyListSubjects, Kind: YesNo, Join: Least, Levels: receiving, Default: "no", DefaultLevel: storage.LevelOrganization,
		Help: "lists of messages show subjects to people who may see content"},

	{Key: KeySecondFactor, Kind: Choice, Join: Most, Words: []string{"optional", "any", "passkey"}, Levels: staffing, Default: "optional",
		DefaultLevel: storage.LevelOrganization, Help: "what people must sign in with to do anything: optional, any second factor, or a passkey; acts reserved for people always need one"},
	{Key: KeyPersonSession, Kind: Duration, Join: Least, Min: int64(5 * time.Minute), Max: int64(30 * day), Levels: staffing,
		Default: "12h", DefaultLevel: storage.LevelOrganization, Help: "how long a person's session may last"},
	{Key: KeyPersonIdle, Kind: Duration, Join: Least, Min: int64(time.Minute), Max: int64(30 * day), Levels: staffing,
		Default: "2h", DefaultLevel: storage.LevelOrganization, Help: "how long a person's session may lie unused"},
	{Key: KeyPersonProof, Kind: Duration, Join: Least, Min: int64(time.Minute), Max: int64(day), Levels: staffing,
		Default: "30m", DefaultLevel: storage.LevelOrganization, Help: "for how long a second factor counts as just shown; releasing, unfreezing, roles and policy need one that does"},

	{Key: KeyDMARC, Kind: Choice, Join: Most, Words: []string{"none", "quarantine", "reject"}, Levels: published, Default: "none",
		DefaultLevel: storage.LevelDomain, Help: "what others are asked to do with mail that forges the domain: none, quarantine or reject"},
	{Key: KeyMTASTS, Kind: Choice, Join: Most, Words: []string{"none", "testing", "enforce"}, Levels: published, Default: "testing",
		DefaultLevel: storage.LevelDomain, Help: "whether others must use TLS to send mail here (MTA-STS): none, testing or enforce"},
	{Key: KeyDMARCReject, Kind: YesNo, Join: Most, Levels: hosting, Default: "yes", DefaultLevel: storage.LevelOrganization,
		Help: "refuse mail that fails DMARC when the domain in From asks for that"},
	{Key: KeyTLSRequired, Kind: Routes, Join: Each, Levels: sending,
		Help: "mail to these domains goes over authenticated TLS or not at all; * is all"},
	{Key: KeyARCTrusted, Kind: Domains, Join: Each, Levels: hosting,
		Help: "who is believed that a message passed DMARC before they passed it on (ARC)"},
	{Key: KeyDMARCReports, Kind: YesNo, Join: Least, Levels: hosting, Default: "yes", DefaultLevel: storage.LevelOrganization,
		Help: "tell domains that ask for it, once a day, how mail in their name fared here"},
	{Key: KeyTLSReports, Kind: YesNo, Join: Least, Levels: hosting[:1], Default: "yes", DefaultLevel: storage.LevelOrganization,
		Help: "tell domains that ask for it, once a day, how TLS to them went"},
	{Key: KeyDKIMRotate, Kind: Duration, Off: true, Join: Least, Min: int64(7 * day), Max: int64(3650 * day), Levels: hosting,
		Help: "how long a key signs before the next is made, or off; 180d where the records are kept here, else off"},
}

// limit is a setting that bounds how much may be sent. What stands for agents
// that nothing was set for is low: who needs more says so.
func limit(key Key, fallback, help string) Setting {
	s := Setting{Key: key, Kind: Count, Join: Each, Max: countMax, Levels: sending, Default: fallback, Help: help}
	if fallback != "" {
		s.DefaultLevel = storage.LevelAgent
	}
	return s
}

// band is a setting of what an inbox does with mail by its verdict. Each inbox has
// its own; what stands above can ask for more. // PI-3
func band(key Key, fallback string, words []string, help string) Setting {
	return Setting{Key: key, Kind: Choice, Join: Most, Words: words, Levels: receiving, Default: fallback,
		DefaultLevel: storage.LevelInbox, Help: help}
}

// Settings is the vocabulary, in the order in which it is shown.
func Settings() []Setting { return settings }

var byKey = func() map[Key]*Setting {
	m := map[Key]*Setting{}
	for i := range settings {
		m[settings[i].Key] = &settings[i]
	}
	return m
}()

// Lookup finds a setting by its key.
func Lookup(key string) (Setting, bool) {
	s, ok := byKey[Key(key)]
	if !ok {
		return Setting{}, false
	}
	return *s, true
}
