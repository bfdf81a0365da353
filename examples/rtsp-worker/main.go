package main

import sdk "github.com/skalds-go/skalds/plugin-sdk"

// version of the worker; the folder from which a host runs it carries the same.
const version = "0.1.0"

func main() { sdk.Serve("rtsp-worker", version, recorderClass(), cameraClass()) }

func recorderClass() sdk.ClassDef {
	return sdk.Class("RTSPRecorder", func() sdk.Worker[RecorderAttachments] { return &recorder{} },
		sdk.Describe("Records the H.264 or H.265 video of an RTSP camera, with its AAC sound, as fragmented MP4 and stays with it through every fault."),
		sdk.Defaults(defaultRecorderAttachments()),
		sdk.Resources(0.05, 48<<20))
}

func cameraClass() sdk.ClassDef {
	return sdk.Class("TestCamera", func() sdk.Worker[CameraAttachments] { return &camera{} },
		sdk.Describe("Is an RTSP camera that loops a built-in clip and breaks as told, for tests and demonstrations."),
		sdk.Defaults(defaultCameraAttachments()),
		sdk.Resources(0.05, 48<<20))
}
