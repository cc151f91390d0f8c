package shapes

import java.util.List

const val LIMIT = 3

interface Draw {
    fun draw(c: Canvas): Int
}

data class Shape(val corners: Int) : Base(), Draw {
    val size = 2

    override fun draw(c: Canvas): Int {
        return helper(LIMIT)
    }

    companion object {
        fun make() = Shape(3)
    }
}

enum class Colour { RED, GREEN }

object Single

fun <T> List<T>.second(): T = this[1]

typealias Short = Shape
