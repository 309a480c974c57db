package injection

// An aspect is a step of normalising, or a group of features, that can be left out in
// a build with the tag "ablation" to see what it is worth.
type aspect uint32

const (
	aspectNoGlyph   aspect = 1 << iota // characters without a glyph are taken out of words
	aspectLookalike                    // letters of another alphabet that look like Latin ones
	aspectDigits                       // digits for letters
	aspectApart                        // words written letter by letter, or without spaces
	aspectStyles                       // letters in mathematical, enclosed and similar forms
	aspectEncodings                    // runs that say something when they are decoded
	aspectUnseen                       // tag characters and variation selectors
	aspectTurns                        // letters turned by thirteen, texts written backwards
	aspectSequences                    // two to four words in order
	aspectParts                        // beginnings, ends and middles of words
	aspectPairs                        // two concepts in order
	aspectClasses                      // classes of concepts, alone and in order
	aspectSlots                        // slots of a request within reach
	aspectSentences                    // how a sentence opens and ends
	aspectRepeats                      // what is shown twice counts once
)
