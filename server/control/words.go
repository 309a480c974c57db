package control

// Words say in a sentence for people what a word for programs means.
type Words map[string]string

// Of is the sentence of a word.
func (w Words) Of(word string) string {
	if text := w[word]; text != "" {
		return text
	}
	return "see the log"
}

var (
	// Placements say which rule put a message away.
	Placements = Words{
		"injection-hard":       "It has text that no person who reads it would see, and that says something to a machine. Such mail is put away whatever else it says.",
		"injection-quarantine": "Its score is one that at most one harmless message in a thousand reaches.",
		"injection-suspicious": "Its score is suspicious, and the inbox puts suspicious mail away (injection-suspicious).",
		"injection-partial":    "It could not be read in whole, and the inbox puts such mail away (injection-partial).",
		"dmarc":                "It fails DMARC, and the domain in From asks that such mail be refused. Another recipient's policy let it in.",
	}
	// Senders say whether a message comes from where it says.
	Senders = Words{
		"pass":  "It comes from the domain in From: DMARC passed. That says who wrote it, and not what it wants.",
		"fail":  "It does not come from the domain in From: DMARC failed.",
		"local": "It was sent by an agent of this server, or put there by one.",
		"none":  "Whether it comes from the domain in From cannot be told.",

		"temperror": "Whether it comes from the domain in From could not be found out when it came.",
		"permerror": "Whether it comes from the domain in From cannot be told: what that domain publishes is broken.",
	}
	// Reasons are the closed list of why a message scored as it did.
	Reasons = Words{
		"override_instruction":   "it tells the reader to drop its instructions",
		"role_or_chat_markup":    "it imitates the markup of a chat or of a tool",
		"addressed_to_agent":     "it speaks to a machine that reads mail",
		"tool_or_exfil_request":  "it wants something done with a mailbox: forward, delete, send, visit",
		"secrecy_request":        "it wants the owner of the mailbox not to know",
		"prompt_extraction":      "it wants the instructions or the secrets of the machine",
		"hidden_text":            "what tells is not shown to a person",
		"invisible_characters":   "it is written in characters without a glyph, or broken up by them",
		"mixed_script":           "its words mix alphabets that look alike",
		"encoded_payload":        "it stands in an encoding",
		"alternative_mismatch":   "one version of the body says what the other does not",
		"attachment_instruction": "it stands in an attachment or its name",
		"header_instruction":     "it stands in a field of the header",
		"unscanned_content":      "something in it was not looked at",
	}
	// Views are the kinds of text in a message.
	Views = Words{
		"subject": "the subject", "name": "the name of a sender or recipient", "header": "a field of the header",
		"text": "text that a person sees", "html": "text that a person sees",
		"hidden": "text that a person does not see", "comment": "a comment, which a person does not see", "attribute": "text in the markup, which a person hardly sees",
		"attachment": "text in an attachment", "file_name": "the name of a file", "preamble": "text around the parts, which a person does not see",
		"invisible": "text in characters that have no glyph", "decoded": "what an encoded run says",
	}
	// Forms are the rules of form that no score outweighs.
	Forms = Words{
		"invisible_text": "words are written in characters that have no glyph: that does not happen by accident",
		"unseen_request": "it is hidden, encoded or commented out, and suspicious by itself",
		"encoded_words":  "an encoded run says something in words",
	}
	// Skips are why a part was not looked at.
	Skips = Words{
		"encrypted": "it is encrypted", "type": "it is of a type that is not read", "limit": "it is over a limit", "archive": "it is an archive of a kind that is not read",
		"error": "it could not be read",
	}
)

// GlassWhys are the closed list of why a person reads a message.
var GlassWhys = Words{
	"incident": "something went wrong, and the message may say why", "complaint": "who wrote it or got it asks",
	"verdict": "to see whether it was judged rightly", "fault": "mail or an agent does not work",
	"legal": "the law or a court asks", "permission": "the owner of the agent asked for it",
}

// Contradictions are what an agent declared and the server saw otherwise.
var Contradictions = Words{
	"schedule-answers-message": "it says that a schedule was the cause, but answers a message that had just been read",
	"trigger-never-read":       "it says that a message was the cause which this agent never read",
	"trigger-unknown":          "it says that a message was the cause which no inbox of this agent ever had",
	"source-never-read":        "it names a source that this agent never read",
	"human-with-model":         "it says that a person wrote the content, and which model made it",
}

// Remarks are what else was noticed about what an agent sent.
var Remarks = Words{
	"malformed-trigger": "Agent-Trigger was not understood", "malformed-content": "Agent-Content was not understood",
	"malformed-run": "Agent-Run was not understood", "malformed-sources": "Agent-Sources was not understood, or not all of it",
	"trigger-is-not-answered": "the message that was the cause is not the one that is answered",
	"forwards-attached":       "another message is attached",
	"forwards-text":           "the text of a stored message goes to somebody who was no party of it",
	"forwards-unseen":         "it is longer, or has more parts, than was compared with what the agent read",
	"trigger-missing":         "policy wants Agent-Trigger", "content-missing": "policy wants Agent-Content",
}

// Rules are why a rule of policy decided as it did, after "because" or a colon.
var Rules = Words{
	"sender-null": "it has no sender address", "sender-not-inbox": "its sender is not the inbox of the login",
	"from-missing": "it has no usable From", "from-several": "it has more than one From", "from-not-inbox": "its From is not the inbox of the login",
	"sender-field-not-inbox": "its Sender is not the inbox of the login", "header-syntax": "its header is malformed", "header-too-large": "its header is too large",
	"mail-loop": "it went round in a loop", "scope-send": "the credential may not send from this inbox", "agent-inactive": "the agent may not act now",
	"over-size": "it is too large", "no-recipients": "no recipient was left", "too-many-recipients": "it has too many recipients",
	"domain-not-owned": "the ownership of its domain is not proved", "test-environment": "a test credential sends to test inboxes only",
	"limit-messages": "the limit of messages is reached", "limit-recipients": "the limit of recipients is reached",
	"limit-first-time": "the limit of new recipients is reached", "limit-size": "the limit of size is reached",
	"recipient-denied": "policy denies the recipient", "recipient-not-allowed": "the recipient is not on the list of those allowed",
	"recipient-no-reply": "the agent may only answer, and this recipient had not written", "recipient-outside": "the agent may only write inside the organization",
	"trigger-missing": "it does not say what caused it", "content-missing": "it does not say how it came about",
	"token-leaked": "a secret stood in it", "not-approved": "people did not approve it",
	"dmarc": "it fails DMARC, and the domain in From asks that such mail be refused", "from-domains": "it has authors of several domains in From",
	"dmarc-unknown": "whether the domain in From sent it could not be found out",

	"injection-suspicious": "its score is suspicious", "injection-quarantine": "its score is that of an injection", "injection-partial": "it could not be read in whole",
	"injection-hard": "it has text that no person would see", "injection-allowed": "its sender is let in", "injection-report-only": "policy lets it in and tells",

	"hold-always": "all that the agent sends waits", "hold-taint": "the agent had read what may have been written to steer it",
	"hold-first-time": "it goes to somebody who was never written to", "hold-new-domain": "it goes to a domain that was never written to",
	"hold-attachment": "it has an attachment", "hold-recipients": "it has many recipients", "hold-forward": "it passes on what the agent had read",
	"hold-rate": "the agent sends many messages within an hour",
}
