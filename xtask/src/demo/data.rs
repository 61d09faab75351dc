//! A small data set in the shape of Something-Something V2: WebM clips (VP9, 240 lines, 12 frames a second) named by
//! number, and labels in JSON. Its clips show a square that does what the label says. Pure.

use crate::engine::docker;
use crate::step::Step;
use serde_json::{Value, json};
use std::path::Path;

/// One clip.
struct Clip {
    id: u32,
    template: &'static str,
    /// What fills the template.
    placeholder: &'static str,
    /// Where the square is at second `t` of four, as expressions of ffmpeg.
    path: (&'static str, &'static str),
}

const CLIPS: &[Clip] = &[
    Clip { id: 1, template: "Moving [something] up", placeholder: "a square", path: ("140", "200-50*t") },
    Clip { id: 2, template: "Moving [something] down", placeholder: "a square", path: ("140", "50*t") },
    Clip { id: 3, template: "Pushing [something] from left to right", placeholder: "a block", path: ("70*t", "100") },
    Clip {
        id: 4,
        template: "Pushing [something] from right to left",
        placeholder: "a block",
        path: ("280-70*t", "100"),
    },
];

/// Where the clips lie in the data set, as in the original's archive.
pub const CLIP_DIR: &str = "20bn-something-something-v2";

/// The files of labels: name and text.
pub fn labels() -> Vec<(&'static str, String)> {
    // In the original a class is the template without its brackets, and its number is a text.
    let class = |clip: &Clip| clip.template.replace(['[', ']'], "");
    let classes = CLIPS.iter().enumerate();
    let classes: serde_json::Map<String, Value> =
        classes.map(|(number, clip)| (class(clip), json!(number.to_string()))).collect();
    let train = CLIPS.iter().map(|clip| {
        json!({
            "id": clip.id.to_string(),
            "label": clip.template.replace("[something]", clip.placeholder).to_lowercase(),
            "template": clip.template,
            "placeholders": [clip.placeholder],
        })
    });
    let train = Value::Array(train.collect());
    vec![
        ("labels/labels.json", format!("{:#}\n", Value::Object(classes))),
        ("labels/train.json", format!("{train:#}\n")),
    ]
}

/// The steps that make it: ffmpeg runs in the sandbox's image, so the host needs none.
pub fn steps(dir: &Path, image: &str, uid: u32, gid: u32) -> Vec<Step> {
    let mut steps: Vec<Step> =
        labels().into_iter().map(|(name, text)| Step::WriteFile { path: dir.join(name), text }).collect();
    let clips = dir.join(CLIP_DIR);
    steps.push(Step::CreateDir { path: clips.clone(), mode: 0o755 });
    let mount = format!("type=bind,source={},target=/clips", clips.display());
    let user = format!("{uid}:{gid}");
    let command = docker::run_apart().args(["--user", &user, "--mount", &mount, "--workdir", "/clips"]);
    let command = command.args(["--entrypoint", "ffmpeg", image, "-v", "error", "-y"]);
    steps.push(Step::Run(command.args(ffmpeg()).timeout(120)));
    steps
}

/// One ffmpeg makes all clips.
fn ffmpeg() -> Vec<String> {
    let mut args = Vec::new();
    for clip in CLIPS {
        let (x, y) = clip.path;
        let scene = format!(
            "color=gray:size=320x240:rate=12:duration=4[back];color=orange:size=40x40:rate=12:duration=4[square];\
             [back][square]overlay=x='{x}':y='{y}':shortest=1[v{}]",
            clip.id
        );
        args.extend([
            "-filter_complex".to_owned(),
            scene.replace("[back]", &format!("[b{}]", clip.id)).replace("[square]", &format!("[s{}]", clip.id)),
        ]);
    }
    for clip in CLIPS {
        args.extend(["-map".to_owned(), format!("[v{}]", clip.id)]);
        let codec = ["-c:v", "libvpx-vp9", "-b:v", "200k", "-pix_fmt", "yuv420p", "-deadline", "realtime"];
        args.extend(codec.map(str::to_owned));
        args.push(format!("{}.webm", clip.id));
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clip_has_a_label_of_the_shape_of_the_original() {
        let labels = labels();
        let classes: Value = serde_json::from_str(&labels[0].1).unwrap();
        let train: Value = serde_json::from_str(&labels[1].1).unwrap();
        assert_eq!(train.as_array().unwrap().len(), CLIPS.len());
        assert_eq!(train[2]["label"], "pushing a block from left to right");
        for entry in train.as_array().unwrap() {
            let class = entry["template"].as_str().unwrap().replace(['[', ']'], "");
            assert!(classes[&class].is_string(), "{class}");
            assert!(ffmpeg().contains(&format!("{}.webm", entry["id"].as_str().unwrap())));
        }
    }
}
