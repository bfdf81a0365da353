package validator_test

import (
	"encoding/json"
	"fmt"

	"github.com/skalds-go/skalds/plugin-sdk/schema"
	"github.com/skalds-go/skalds/plugin-sdk/schema/validator"
)

func Example() {
	doc, err := schema.Of[struct {
		URL   string `json:"rtspUrl" jsonschema:"required"`
		Frame int    `json:"fixFrame,omitempty" jsonschema:"minimum=0"`
	}]()
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := validator.Compile(doc)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, fault := range s.Validate(json.RawMessage(`{"fixFrame": "many", "frames": 1}`)) {
		fmt.Println(fault)
	}
	// Output:
	// fixFrame: got string, want integer
	// frames: is unknown
	// rtspUrl: is missing
}
