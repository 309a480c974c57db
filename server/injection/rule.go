package injection

// A rule of form is certain where the model can only guess: nobody writes a message
// in characters without a glyph by accident. It sets a floor that nothing averages
// away.

// The rules, by the names that evidence has.
const (
	ruleInvisible = "invisible_text" // words in tag characters or variation selectors
	ruleUnseen    = "unseen_request" // hidden, encoded or commented text that is suspicious by itself
	ruleEncoded   = "encoded_words"  // an encoded run that says something in words
)

// Certain reports whether a rule puts a message away whatever the rest of it scores.
func Certain(rule string) bool { return rule == ruleInvisible || rule == ruleUnseen }

// minWords is how many words a decoded run must have to say something.
const minWords = 5

// broken finds the rule that a text breaks, and the score that it must have at
// least.
func broken(p *Passage, score float64, m *Model) (rule string, floor float64) {
	const above = 1e-3 // a floor lies over its threshold
	words := len(p.Blocks) * BlockWords
	switch {
	case p.View == Invisible && words >= minWords:
		return ruleInvisible, m.Quarantine + above
	case p.View.unseen() && score > m.Suspicious:
		return ruleUnseen, m.Quarantine + above
	case p.View == Decoded && saysSomething(p):
		return ruleEncoded, m.Suspicious + above
	}
	return "", 0
}

// saysSomething reports whether a decoded run is words of a language: several, of
// letters, with spaces between. Identifiers and addresses in links are not.
func saysSomething(p *Passage) bool {
	spaces, letters := 0, 0
	for _, c := range p.text {
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
func reasonsOf(p *Passage, at int) Reason {
	var s slots
	for _, b := range p.Blocks[at:min(at+WindowBlocks, len(p.Blocks))] {
		s |= slots(b.Slots)
	}
	var r Reason
	for _, of := range []struct {
		when   bool
		reason Reason
	}{
		{s&slotOverride != 0 && s&(slotNegation|slotRight|slotMachine) != 0, OverrideInstruction},
		{hasMarkup(p.text), RoleOrChatMarkup},
		{s&slotMachine != 0, AddressedToAgent},
		{s&slotAct != 0 && s&slotObject != 0, ToolOrExfilRequest},
		{s&slotConceal != 0 && s&slotNegation != 0, SecrecyRequest},
		{p.View == Hidden || p.View == Comment || p.View == Preamble, HiddenText},
		{p.View == Invisible || p.signals.zeroWidth > 0 || p.signals.spaced > 0 || p.signals.bidi > 0, InvisibleCharacters},
		{p.signals.mixed > 0 || p.signals.styled > 3, MixedScript},
		{p.Chain.len() > 0 && p.View == Decoded, EncodedPayload},
		{p.View == Attachment || p.View == FileName, AttachmentInstruction},
		{p.View == Subject || p.View == Name || p.View == Header, HeaderInstruction},
	} {
		if of.when {
			r |= of.reason
		}
	}
	return r
}
