package injection

import "bytes"

// A rule of form is certain where the model can only guess: nobody writes a message
// in characters without a glyph by accident. It sets a floor that nothing averages
// away.

// The rules, by the names that evidence has.
const (
	ruleInvisible   = "invisible_text"       // words in tag characters or variation selectors
	ruleUnseen      = "unseen_request"       // hidden, encoded or commented text that is suspicious by itself
	ruleEncoded     = "encoded_words"        // a run in an encoding that no mail program makes there says something in words
	ruleMarkup      = "chat_markup"          // a text has turns of a chat, or calls of a tool, in the markup of a model
	ruleAlternative = "alternative_mismatch" // one alternative of the body is suspicious, and the other does not say it
)

// Certain reports whether a rule puts a message away whatever the rest of it scores.
func Certain(rule string) bool {
	return rule == ruleInvisible || rule == ruleUnseen || rule == ruleAlternative
}

// minWords is how many words a decoded run must have to say something.
const minWords = 5

// above is how much a floor lies over its threshold.
const above = 1e-3

// broken finds the rule that a text breaks, and the score that it must have at
// least.
func broken(p *Passage, score float64, m *Model) (rule string, floor float64) {
	switch {
	case p.View == Invisible && p.words >= minWords:
		return ruleInvisible, m.Quarantine + above
	case p.View.unseen() && score > m.Suspicious:
		return ruleUnseen, m.Quarantine + above
	case p.View == Decoded && encoded[p.Chain.last()] && !p.segment.declared && saysSomething(p.text):
		return ruleEncoded, m.Suspicious + above
	case speaksAsModel(p.text):
		return ruleMarkup, m.Suspicious + above
	}
	return "", 0
}

// encoded are encodings that mail programs do not leave in a text. Escapes of
// addresses, entities and quoted-printable get there when mail is forwarded or copied.
var encoded = map[Step]bool{stepBase64: true, stepBase32: true, stepHex: true, stepBinary: true, stepCodes: true, stepMorse: true, stepASCII85: true}

// isDeclared reports whether the run of a text that begins at i is what a mail
// program or a mailing list left of a message or a key: the fields in front say what
// it is.
func isDeclared(text []byte, i int) bool {
	const near = 512
	before := bytes.ToLower(text[max(0, i-near):i])
	return bytes.Contains(before, []byte("content-transfer-encoding")) || bytes.Contains(before, []byte("-----begin "))
}

// saysSomething reports whether a decoded run is words of a language: several, of
// letters, with spaces between. Identifiers and addresses in links are not.
func saysSomething(text []byte) bool {
	spaces, letters := 0, 0
	for _, c := range text {
		switch {
		case c == ' ':
			spaces++
		case isLetter(c) || c >= 0x80:
			letters++
		}
	}
	return spaces >= minWords && letters > 3*spaces
}

// reasonsOf says in the words of the closed list what a window shows.
func reasonsOf(p *Passage, at int, rule string) Reason {
	var s slots
	for _, b := range p.Blocks[at:min(at+WindowBlocks, len(p.Blocks))] {
		s |= slots(b.Slots)
	}
	r := formReasons(p, rule)
	for _, of := range []struct {
		when   bool
		reason Reason
	}{
		{s&slotOverride != 0 && s&(slotNegation|slotRight|slotMachine) != 0, OverrideInstruction},
		{s&slotMachine != 0, AddressedToAgent},
		{s&slotAct != 0 && s&slotObject != 0, ToolOrExfilRequest},
		{s&slotConceal != 0 && s&slotNegation != 0, SecrecyRequest},
		{asksForPrompt(p.text), PromptExtraction},
	} {
		if of.when {
			r |= of.reason
		}
	}
	if r&wordReasons != 0 {
		return r
	}
	// The model saw more than the slots say: the nearest of them.
	switch {
	case s&slotAct != 0:
		r |= ToolOrExfilRequest
	case s&slotOverride != 0:
		r |= OverrideInstruction
	case s&slotConceal != 0:
		r |= SecrecyRequest
	case rule == "" || rule == ruleUnseen || rule == ruleAlternative:
		r |= AddressedToAgent
	}
	return r
}

// wordReasons are those that say what the words want.
const wordReasons = OverrideInstruction | RoleOrChatMarkup | AddressedToAgent | ToolOrExfilRequest | SecrecyRequest | PromptExtraction

// formReasons are those that say how a text stands where it stands.
func formReasons(p *Passage, rule string) (r Reason) {
	for _, of := range []struct {
		when   bool
		reason Reason
	}{
		{rule == ruleMarkup || hasMarkup(p.text), RoleOrChatMarkup},
		{p.View == Hidden || p.View == Comment || p.View == Preamble, HiddenText},
		{p.View == Invisible || p.signals.zeroWidth > 0 || p.signals.spaced > 0 || p.signals.bidi > 0, InvisibleCharacters},
		{p.signals.mixed > 0 || p.signals.styled > 3, MixedScript},
		{p.View == Decoded, EncodedPayload},
		{p.View == Attachment || p.View == FileName, AttachmentInstruction},
		{p.View == Subject || p.View == Name || p.View == Header, HeaderInstruction},
		{rule == ruleAlternative, AlternativeMismatch},
	} {
		if of.when {
			r |= of.reason
		}
	}
	return r
}

// prompts are ways to name what a machine was told before.
var prompts = [][]byte{[]byte("system prompt"), []byte("your prompt"), []byte("your instructions"), []byte("initial prompt"), []byte("initial instructions"),
	[]byte("hidden prompt"), []byte("your system"), []byte("your guidelines"), []byte("your rules"), []byte("your configuration"), []byte("your api key"),
	[]byte("system message"), []byte("instrucciones del sistema"), []byte("systemprompt"), []byte("prompt système"), []byte("prompt de sistema")}

// asksForPrompt reports whether a text names what a machine was told.
func asksForPrompt(text []byte) bool {
	lower := bytes.ToLower(text)
	for _, p := range prompts {
		if bytes.Contains(lower, p) {
			return true
		}
	}
	return false
}
