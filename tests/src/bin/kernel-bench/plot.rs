//! Pictures of what was measured, for the documents.

use std::path::Path;

use plotters::prelude::*;

use crate::load::{Load, System};
use crate::median;

const SIZE: (u32, u32) = (720, 400);

/// Nanoseconds a frame over the number of flows, beside a bare redirect.
pub(crate) fn growth(file: &Path, relay: &[(u32, Vec<f64>)], bare: f64) -> anyhow::Result<()> {
    let points: Vec<(f64, f64)> = relay
        .iter()
        .map(|(flows, times)| (f64::from(*flows), median(times)))
        .collect();
    let most = points.iter().map(|point| point.1).fold(bare, f64::max) * 1.2;
    let range = points.first().map_or(1.0, |point| point.0)..points.last().map_or(1.0, |point| point.0);
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption("Time a frame, generator included", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(range.clone().log_scale(), 0.0..most)?;
    chart
        .configure_mesh()
        .x_desc("flows")
        .y_desc("ns")
        .x_label_formatter(&|flows| format!("{flows:.0}"))
        .draw()?;
    let line = chart.draw_series(LineSeries::new(points, BLUE.stroke_width(2)))?;
    line.label("full relay")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], BLUE));
    let line = chart.draw_series(LineSeries::new(
        [(range.start, bare), (range.end, bare)],
        BLACK.stroke_width(1),
    ))?;
    line.label("bare redirect")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 20, y)], BLACK));
    chart
        .configure_series_labels()
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    Ok(area.present()?)
}

/// Share of the packets that took longer than a time, both logarithmic.
pub(crate) fn latency(file: &Path, loads: &[(System, Load)]) -> anyhow::Result<()> {
    const LONGER: [f64; 13] = [
        0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005,
    ];
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let slowest = loads
        .iter()
        .map(|(_, load)| load.within(1.0 - LONGER[12]))
        .fold(100.0, f64::max);
    let mut chart = ChartBuilder::on(&area)
        .caption("Added latency at 50,000 packets a second", ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d((1.0..slowest * 1.2).log_scale(), (LONGER[12]..1.0).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("us")
        .y_desc("share of packets that took longer")
        .draw()?;
    for ((system, load), colour) in loads.iter().zip([BLUE, GREEN, RED]) {
        let points = LONGER.map(|share| (load.within(1.0 - share).max(1.0), share));
        let line = chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
        line.label(system.name())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    Ok(area.present()?)
}
