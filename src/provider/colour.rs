//! The dominant colour of an image, as a model would name it for a plain picture.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ImageReader, Limits, Rgba};

/// The side of the thumbnail that is examined, in pixels.
const SAMPLES: u32 = 64;
const MAXIMUM_SIDE: u32 = 8000;

/// The name of the dominant colour of a base64-encoded image; `None` if it is not an image.
pub(super) fn dominant(data: &str) -> Option<&'static str> {
    let bytes = STANDARD.decode(data).ok()?;
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAXIMUM_SIDE);
    limits.max_image_height = Some(MAXIMUM_SIDE);
    reader.limits(limits);
    let image = reader.decode().ok()?.thumbnail(SAMPLES, SAMPLES).to_rgba8();
    let mut counts: Vec<(&'static str, usize)> = Vec::new();
    for pixel in image.pixels().filter(|pixel| pixel[3] > 127) {
        let name = name(pixel);
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    counts
        .into_iter()
        .max_by_key(|(_, count)| *count)
        .map(|(name, _)| name)
        .or(Some("transparent"))
}

/// The English name of a colour, from its hue (degrees), saturation and value (0 to 1).
fn name(pixel: &Rgba<u8>) -> &'static str {
    let [red, green, blue] = [0, 1, 2].map(|channel| f32::from(pixel[channel]) / 255.0);
    let value = red.max(green).max(blue);
    let range = value - red.min(green).min(blue);
    let saturation = if value > 0.0 { range / value } else { 0.0 };
    if value < 0.15 {
        return "black";
    }
    if saturation < 0.15 {
        return if value > 0.85 { "white" } else { "grey" };
    }
    let hue = 60.0
        * if value == red {
            ((green - blue) / range).rem_euclid(6.0)
        } else if value == green {
            (blue - red) / range + 2.0
        } else {
            (red - green) / range + 4.0
        };
    match hue {
        h if !(15.0..345.0).contains(&h) && saturation < 0.6 && value > 0.8 => "pink",
        h if !(15.0..345.0).contains(&h) => "red",
        h if h < 45.0 && value < 0.7 => "brown",
        h if h < 45.0 => "orange",
        h if h < 70.0 => "yellow",
        h if h < 165.0 => "green",
        h if h < 195.0 => "cyan",
        h if h < 260.0 => "blue",
        h if h < 300.0 => "purple",
        _ => "pink",
    }
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, ImageFormat, RgbImage};

    use super::*;

    #[test]
    fn plain_pictures_are_named() {
        let cases = [
            ([220, 20, 30], "red"),
            ([20, 160, 60], "green"),
            ([20, 60, 220], "blue"),
            ([250, 230, 30], "yellow"),
            ([250, 140, 20], "orange"),
            ([130, 30, 180], "purple"),
            ([255, 150, 190], "pink"),
            ([120, 70, 20], "brown"),
            ([5, 5, 5], "black"),
            ([250, 250, 250], "white"),
            ([128, 128, 128], "grey"),
            ([20, 220, 220], "cyan"),
            ([255, 105, 180], "pink"),
            ([255, 0, 255], "pink"),
            ([128, 0, 128], "pink"),
        ];
        for (colour, expected) in cases {
            let image = RgbImage::from_pixel(9, 5, image::Rgb(colour));
            let mut bytes = Cursor::new(Vec::new());
            DynamicImage::from(image)
                .write_to(&mut bytes, ImageFormat::Png)
                .unwrap();
            assert_eq!(
                dominant(&STANDARD.encode(bytes.into_inner())),
                Some(expected),
                "{colour:?}"
            );
        }
        assert_eq!(dominant("bm90IGFuIGltYWdl"), None);
    }
}
